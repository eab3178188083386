// "conv_compact": convolution of plain images whose weight has zeros in blocks. Filters that are
// zero are left out, the others come in slivers of a few, and of each sliver only those columns
// (channel and tap) are kept in which any of its filters is not zero: a dense product of what is
// left. Packed by "conv_compact_pack".
//
// The same columns for 16 filters at a time make two or four slivers of those. Operands and
// attributes: product.h; `stored` counts the zeros in kept columns, too, for slivers of 8.

#include <algorithm>
#include <cstring>

#include "kernels/sparse/planes_kernel.h"

namespace graphc::sparse {

namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// The packed weight, of int32: outputs of a group that live, for each; outputs in the order of
// slivers, those without weights last, for each group; (first value, first column) of each sliver
// and the end; columns. Then the values, [column][filter of the sliver].
struct Layout {
    const Loops& loops;
    Planes planes;
    std::int64_t outputs, groups, room, columns_room;  // outputs of a group

    explicit Layout(const Told& told)
        : loops(chosen_loops()),
          planes(told.field, loops, false),
          outputs(told.outputs / told.groups()),
          groups(told.groups()) {
        // Rows that do not fill the last sliver of a group of 8 may not share it with others.
        const std::int64_t most = slivers() * groups * told.depth();
        room = told.room();
        columns_room = std::min(most, told.stored ? room : most);
        require(room < (std::int64_t(1) << 31), "too many weights");
    }

    std::int64_t tile() const { return loops.sliver_vectors; }
    std::int64_t slivers() const { return ceil_div(outputs, loops.sliver); }
    std::int64_t order() const { return groups; }
    std::int64_t starts() const { return order() + groups * outputs; }
    std::int64_t columns() const { return starts() + 2 * (groups * slivers() + 1); }
    std::int64_t values() const { return columns() + columns_room; }
    std::int64_t size() const { return values() + room; }
};

class Compact final : public PlanesKernel<Layout> {
  public:
    explicit Compact(const Problem& problem) : PlanesKernel(problem, 0.03) {}

    void run(const Run& run) const override {
        each_tile(run, layout_.groups,
                  [&](const float* x, std::int64_t images, std::int64_t tile, std::int64_t group,
                      float* sums) { multiply(run, x, images, tile, group, sums); });
    }

  private:
    std::int64_t sum_rows() const override { return layout_.loops.sliver; }

    void multiply(const Run& run, const float* x, std::int64_t images, std::int64_t tile,
                  std::int64_t group, float* sums) const {
        const auto* packed = reinterpret_cast<const std::int32_t*>(run.reads[1]);
        const std::int32_t* order = packed + layout_.order() + group * layout_.outputs;
        const std::int32_t* starts = packed + layout_.starts() + 2 * group * layout_.slivers();
        const std::int64_t live = packed[group], channels = told_.field.channels / layout_.groups;
        const std::int64_t first = images * layout_.planes.joined();
        const auto& slivers = is_whole(tile) ? layout_.loops.slivers : layout_.loops.last_slivers;
        const Placer placer{run, told_, operands_, layout_.loops};
        SliverJob job{};
        job.x = x + layout_.planes.offset(group * channels, 0, 0) + tiles_.start(tile);
        job.sums = sums;
        job.pitch = row();
        job.last = tiles_.last(tile);
        for (std::int64_t o = 0; o < live; o += layout_.loops.sliver, starts += 2) {
            const std::int64_t rows = std::min<std::int64_t>(live - o, layout_.loops.sliver);
            job.values = run.in(1) + layout_.values() + starts[0];
            job.offsets = packed + layout_.columns() + starts[1];
            job.count = starts[3] - starts[1];
            slivers[rows - 1][tiles_.vectors(tile) - 1](job);
            for (std::int64_t r = 0; r < rows; ++r) {
                placer.place(tiles_.parts(tile), first, group * layout_.outputs + order[o + r],
                             sums + r * row());
            }
        }
        if (live == layout_.outputs) return;
        std::fill(sums, sums + row(), 0.0f);
        for (std::int64_t o = live; o < layout_.outputs; ++o) {
            placer.place(tiles_.parts(tile), first, group * layout_.outputs + order[o], sums);
        }
    }
};

// weight (O, C / group, kernel...) -> packed. Fault GC-W004.
class CompactPack final : public Kernel {
  public:
    explicit CompactPack(const Problem& problem) : told_(problem.attrs), layout_(told_) {
        require(problem.reads.size() == 1 && problem.writes.size() == 1, "number of operands");
        require_flat(problem.reads[0], told_.weights(), "weight");
        require_flat(problem.writes[0], layout_.size(), "packed weight");
        const Pair& kernel = told_.field.kernel;
        for (std::int64_t c = 0; c < told_.field.channels / layout_.groups; ++c) {
            for (std::int64_t i = 0; i < kernel[0]; ++i) {
                for (std::int64_t j = 0; j < kernel[1]; ++j) {
                    offsets_.push_back(std::int32_t(layout_.planes.offset(c, i, j)));
                }
            }
        }
    }

    void run(const Run& run) const override {
        auto* packed = reinterpret_cast<std::int32_t*>(run.writes[0]);
        std::int32_t* starts = packed + layout_.starts();
        std::int64_t values = 0, columns = 0;
        for (std::int64_t group = 0; group < layout_.groups; ++group) {
            const float* weight = run.in(0) + group * layout_.outputs * told_.depth();
            std::int32_t* order = packed + layout_.order() + group * layout_.outputs;
            const std::int64_t live = packed[group] = order_rows(weight, order);
            for (std::int64_t s = 0; s < layout_.slivers(); ++s, starts += 2) {
                starts[0] = std::int32_t(values);
                starts[1] = std::int32_t(columns);
                const std::int64_t first = std::min(live, s * layout_.loops.sliver);
                const std::int64_t rows =
                    std::min<std::int64_t>(live - first, layout_.loops.sliver);
                for (std::int64_t k = 0; k < told_.depth() && rows > 0; ++k) {
                    if (!is_live(weight, order + first, rows, k)) continue;
                    if (values + rows > layout_.room || columns == layout_.columns_room) {
                        return report_room(run.fault, values + rows, layout_.room);
                    }
                    packed[layout_.columns() + columns++] = offsets_[std::size_t(k)];
                    float* to = run.out(0) + layout_.values() + values;
                    for (std::int64_t r = 0; r < rows; ++r) {
                        to[r] = weight[order[first + r] * told_.depth() + k];
                    }
                    values += rows;
                }
            }
        }
        starts[0] = std::int32_t(values);
        starts[1] = std::int32_t(columns);
    }

  private:
    // Outputs that have weights first; returns how many.
    std::int64_t order_rows(const float* weight, std::int32_t* order) const {
        std::int64_t live = 0, dead = layout_.outputs;
        for (std::int64_t o = 0; o < layout_.outputs; ++o) {
            const float *row = weight + o * told_.depth(), *stop = row + told_.depth();
            const bool is_zero = std::all_of(row, stop, [](float w) { return w == 0; });
            order[is_zero ? --dead : live++] = std::int32_t(o);
        }
        return live;
    }

    bool is_live(const float* weight, const std::int32_t* rows, std::int64_t count,
                 std::int64_t k) const {
        for (std::int64_t r = 0; r < count; ++r) {
            if (weight[rows[r] * told_.depth() + k] != 0) return true;
        }
        return false;
    }

    Told told_;
    Layout layout_;
    std::vector<std::int32_t> offsets_;  // of the columns of a group
};

GRAPHC_KERNEL("conv_compact", Compact)
GRAPHC_KERNEL("conv_compact_pack", CompactPack)

}  // namespace

}  // namespace graphc::sparse
