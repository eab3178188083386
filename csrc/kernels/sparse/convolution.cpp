// "conv_sparse": convolution of plain images whose weight is kept as its non-zero elements alone,
// packed by "conv_sparse_pack"; see planes.h. A zero of the weight meets nothing: what is not
// finite in x does not spread by it.
//
// Sums go through x in blocks of channels that a cache holds while all outputs meet them. Neither
// threads nor batch change a bit of them. Operands and attributes: product.h.

#include <algorithm>
#include <cstring>

#include "kernels/sparse/planes_kernel.h"

namespace graphc::sparse {

namespace {

constexpr std::int64_t kCached = 10240;  // floats of x that stay in the fastest cache

// Long tiles of few channels are slower than is estimated of them: an output should find so many
// entries in a block, unless tiles are as short as that already.
constexpr double kEntries = 20;
constexpr std::int64_t kShort = 8;  // vectors

// Cycles, of a CPU that this was measured on; only their proportions matter. For a vector of x:
// loaded and multiplied; copied with its padding. For a vector of sums: fetched and kept. For an
// entry, and for an output in a block of channels: begun.
constexpr double kMultiply = 0.62, kCopy = 4, kSum = 2.2, kEntry = 2, kOutput = 40;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// How sums go through x, and what is estimated of it: which planes, vectors of a tile of windows,
// and channels of a block.
struct Order {
    Planes planes;
    std::int64_t tile = 1, block = 1;
    double cycles = 0;  // for an image

    Order(const Told& told, const Loops& loops, bool is_apart)
        : planes(told.field, loops, is_apart) {
        const std::int64_t channels = told.field.channels / told.groups();
        const double outputs = double(std::max<std::int64_t>(told.outputs, 1));
        const double entries = double(told.room()) / outputs;  // of an output
        const double width = double(loops.width);
        const double multiply = kMultiply * (planes.is_aligned() ? 1 : 1 + width * width / 256);
        const std::int64_t vectors = std::max<std::int64_t>(1, planes.vectors());
        bool was_few = false;
        for (std::int64_t tiles = ceil_div(vectors, loops.vectors); tiles <= vectors; ++tiles) {
            const std::int64_t each = ceil_div(vectors, tiles);
            const std::int64_t fitting = kCached / std::max<std::int64_t>(planes.met(each), 1);
            const std::int64_t channels_of_block =
                std::clamp<std::int64_t>(fitting, 1, std::max<std::int64_t>(channels, 1));
            const double blocks = double(ceil_div(channels, channels_of_block));
            const double found = double(tiles) * (entries * (double(each) * multiply + kEntry) +
                                                  blocks * (double(each) * kSum + kOutput));
            const bool is_few = each > kShort && blocks > 1 && entries < kEntries * blocks;
            if (cycles == 0 || (!is_few && (found < cycles || was_few))) {
                was_few = is_few;
                cycles = found;
                tile = each;
                block = channels_of_block;
            }
            if (each == 1) break;
        }
        const double copied = planes.is_copied() ? kCopy * double(planes.size()) / width : 0;
        cycles = (outputs * cycles + copied) / double(planes.joined());
    }
};

Order best_order(const Told& told, const Loops& loops) {
    Order together(told, loops, false), apart(told, loops, true);
    return apart.cycles < together.cycles ? apart : together;
}

// How the packed weight is laid out: int32 starts of the entries of [block of channels][output],
// then the entries.
struct Layout {
    const Loops& loops;
    Order order;
    const Planes& planes;
    std::int64_t outputs, groups, channels, room;  // channels of a group

    explicit Layout(const Told& told)
        : loops(chosen_loops()),
          order(best_order(told, loops)),
          planes(order.planes),
          outputs(told.outputs),
          groups(told.groups()),
          channels(told.field.channels / told.groups()),
          room(told.room()) {
        require(room < (std::int64_t(1) << 31) && blocks() * outputs < (std::int64_t(1) << 31),
                "too many weights");
    }
    Layout(const Layout&) = delete;

    std::int64_t tile() const { return order.tile; }
    std::int64_t blocks() const {
        return std::max<std::int64_t>(1, ceil_div(channels, order.block));
    }
    std::int64_t header() const { return (blocks() * outputs + 2) / 2 * 2; }
    std::int64_t size() const { return header() + 2 * room; }
};

class Convolution final : public PlanesKernel<Layout> {
  public:
    explicit Convolution(const Problem& problem) : PlanesKernel(problem, 0.1) {
        parts_ = threads_ == 1 ? 1 : ceil_div(4 * threads_, tiles_.count());
        parts_ = std::clamp<std::int64_t>(parts_, 1, std::max<std::int64_t>(told_.outputs, 1));
    }

    void run(const Run& run) const override {
        each_tile(run, parts_,
                  [&](const float* x, std::int64_t group, std::int64_t tile, std::int64_t part,
                      float* sums) {
                      multiply(run, x, group, tile, told_.outputs * part / parts_,
                               told_.outputs * (part + 1) / parts_, sums);
                  });
    }

  private:
    std::int64_t sum_rows() const override {
        return layout_.blocks() > 1 ? ceil_div(told_.outputs, parts_) : 1;
    }

    void multiply(const Run& run, const float* x, std::int64_t group, std::int64_t tile,
                  std::int64_t first, std::int64_t stop, float* sums) const {
        const std::int64_t blocks = layout_.blocks(), vectors = tiles_.vectors(tile);
        const std::int64_t each = told_.outputs / layout_.groups;
        const auto& rows = is_whole(tile) ? layout_.loops.row : layout_.loops.last_row;
        const Placer placer{run, told_, operands_, layout_.loops};
        const char* packed = run.reads[1];
        RowJob job{};
        job.last = tiles_.last(tile);
        for (std::int64_t b = 0; b < blocks; ++b) {
            for (std::int64_t o = first; o < stop; ++o) {
                std::int32_t ends[2];
                std::memcpy(ends, packed + (b * told_.outputs + o) * 4, sizeof ends);
                job.x = x + layout_.planes.offset(o / each * layout_.channels, 0, 0) +
                        tiles_.start(tile);
                job.entries =
                    reinterpret_cast<const Entry*>(packed + layout_.header() * 4) + ends[0];
                job.count = ends[1] - ends[0];
                job.starts = b == 0;
                job.sums = blocks > 1 ? sums + (o - first) * row() : sums;
                job.ahead = job.sums + (blocks > 1 ? row() : 0);
                rows[vectors - 1](job);
                if (b + 1 == blocks) {
                    placer.place(tiles_.parts(tile), group * layout_.planes.joined(), o, job.sums);
                }
            }
        }
    }

    std::int64_t parts_ = 1;  // of the outputs
};

// weight (O, C / group, kernel...) -> packed. Fault GC-W004.
class ConvolutionPack final : public Kernel {
  public:
    explicit ConvolutionPack(const Problem& problem) : told_(problem.attrs), layout_(told_) {
        require(problem.reads.size() == 1 && problem.writes.size() == 1, "number of operands");
        require_flat(problem.reads[0], told_.weights(), "weight");
        require_flat(problem.writes[0], layout_.size(), "packed weight");
    }

    void run(const Run& run) const override {
        const float* weight = run.in(0);
        const std::int64_t weights = told_.weights();
        const std::int64_t count =
            weights - std::int64_t(std::count(weight, weight + weights, 0.0f));
        if (count > layout_.room) return report_room(run.fault, count, layout_.room);
        char* starts = run.writes[0];
        char* entries = starts + layout_.header() * 4;
        const Pair& kernel = told_.field.kernel;
        std::int32_t made = 0;
        for (std::int64_t b = 0; b < layout_.blocks(); ++b) {
            const std::int64_t stop = std::min(layout_.channels, (b + 1) * layout_.order.block);
            for (std::int64_t o = 0; o < told_.outputs; ++o, starts += 4) {
                std::memcpy(starts, &made, 4);
                for (std::int64_t c = b * layout_.order.block; c < stop; ++c) {
                    const float* from = weight + (o * layout_.channels + c) * kernel[0] * kernel[1];
                    for (std::int64_t i = 0; i < kernel[0]; ++i) {
                        for (std::int64_t j = 0; j < kernel[1]; ++j, ++from) {
                            if (*from == 0) continue;
                            const auto offset = layout_.planes.offset(c, i, j);
                            const Entry entry{std::int32_t(offset), *from};
                            std::memcpy(entries + std::int64_t(made++) * 8, &entry, 8);
                        }
                    }
                }
            }
        }
        std::memcpy(starts, &made, 4);
    }

  private:
    Told told_;
    Layout layout_;
};

GRAPHC_KERNEL("conv_sparse", Convolution)
GRAPHC_KERNEL("conv_sparse_pack", ConvolutionPack)

}  // namespace

}  // namespace graphc::sparse
