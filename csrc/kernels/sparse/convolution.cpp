// "conv_sparse": convolution of plain images whose weight is kept as its non-zero elements alone,
// packed by "conv_sparse_pack"; see planes.h. A zero of the weight meets nothing: what is not
// finite in x does not spread by it.
//
// Sums go through x in blocks of channels that a cache holds while all outputs meet them. Neither
// threads nor batch change a bit of them. Operands and attributes: product.h.

#include <algorithm>
#include <cstring>

#include "kernels/parallel.h"
#include "kernels/sparse/product.h"
#include "kernels/split.h"

namespace graphc::sparse {

namespace {

constexpr std::int64_t kCached = 8192;     // floats of x that stay in the fastest cache
constexpr std::int64_t kLeastVectors = 8;  // of a tile, or there is more of it than of products
constexpr double kLeastEntries = 24;       // of an output in a block of channels, likewise

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// How the packed weight is laid out: int32 starts of the entries of [block of channels][output],
// then the entries.
struct Layout {
    const Loops& loops;
    Planes planes;
    std::int64_t outputs, groups, channels, room;  // channels of a group
    std::int64_t tile = 1, block = 1;              // vectors, channels

    explicit Layout(const Told& told)
        : loops(chosen_loops()),
          planes(told.field, loops.width, loops.vectors),
          outputs(told.outputs),
          groups(told.groups()),
          channels(told.field.channels / told.groups()),
          room(told.room()) {
        const double all = double(std::max<std::int64_t>(told.weights(), 1));
        const double each = double(room) / all * double(told.options.taps());
        const std::int64_t least = std::int64_t(kLeastEntries / std::max(each, 1e-3)) + 1;
        const std::int64_t vectors =
            std::max<std::int64_t>(1, ceil_div(planes.count(), loops.width));
        const std::int64_t most = ceil_div(vectors, ceil_div(vectors, loops.vectors));
        for (tile = most; tile > kLeastVectors; --tile) {
            if (planes.met(tile) * least <= kCached) break;
        }
        block = std::max(kCached / std::max<std::int64_t>(planes.met(tile), 1), least);
        block = std::clamp<std::int64_t>(block, 1, std::max<std::int64_t>(channels, 1));
        require(room < (std::int64_t(1) << 31) && blocks() * outputs < (std::int64_t(1) << 31),
                "too many weights");
    }

    std::int64_t blocks() const { return std::max<std::int64_t>(1, ceil_div(channels, block)); }
    std::int64_t header() const { return (blocks() * outputs + 2) / 2 * 2; }
    std::int64_t size() const { return header() + 2 * room; }
};

class Convolution final : public Kernel {
  public:
    explicit Convolution(const Problem& problem)
        : told_(problem.attrs),
          operands_(problem, told_),
          layout_(told_),
          tiles_(layout_.planes, layout_.loops.width, layout_.tile, operands_),
          threads_(threads_for(0.1 * double(told_.room()) * double(layout_.planes.count()),
                               problem.threads)),
          source_(layout_.planes, operands_, told_.field, threads_) {
        const Spec& packed = problem.reads[1];
        if (packed.size() > 0) require_flat(packed, layout_.size(), "packed weight");
        parts_ = threads_ == 1 ? 1 : ceil_div(4 * threads_, tiles_.count());
        parts_ = std::clamp<std::int64_t>(parts_, 1, std::max<std::int64_t>(told_.outputs, 1));
    }

    std::size_t packed() const override { return std::size_t(layout_.size()); }

    std::size_t workspace() const override {
        return source_.workspace() + sum_bytes() * std::size_t(threads_);
    }

    void run(const Run& run) const override {
        for (std::int64_t group = 0; group < layout_.planes.groups(); ++group) {
            const float* x = source_.prepare(run, group);
            share_out(tiles_.count() * parts_, std::min(run.threads, threads_),
                      [&](std::int64_t task, int thread) {
                          char* own = run.workspace + source_.workspace() +
                                      sum_bytes() * std::size_t(thread);
                          const std::int64_t part = task % parts_;
                          multiply(run, x, group, task / parts_, told_.outputs * part / parts_,
                                   told_.outputs * (part + 1) / parts_,
                                   reinterpret_cast<float*>(own));
                      });
        }
    }

  private:
    std::int64_t row() const { return tiles_.most() * layout_.loops.width; }
    std::size_t sum_bytes() const {
        const std::int64_t outputs = layout_.blocks() > 1 ? ceil_div(told_.outputs, parts_) : 1;
        return std::size_t(ceil_div(outputs * row() * 4, 64) * 64);
    }

    void multiply(const Run& run, const float* x, std::int64_t group, std::int64_t tile,
                  std::int64_t first, std::int64_t stop, float* sums) const {
        const std::int64_t blocks = layout_.blocks(), vectors = tiles_.vectors(tile);
        const std::int64_t each = told_.outputs / layout_.groups;
        const bool is_whole = source_.workspace() > 0 || tiles_.last(tile) == layout_.loops.width;
        const auto& rows = is_whole ? layout_.loops.row : layout_.loops.last_row;
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
                rows[vectors - 1](job);
                if (b + 1 == blocks) {
                    placer.place(tiles_.parts(tile), group * layout_.planes.joined(), o, job.sums);
                }
            }
        }
    }

    Told told_;
    Operands operands_;
    Layout layout_;
    Tiles tiles_;
    int threads_;
    Source source_;
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
            const std::int64_t stop = std::min(layout_.channels, (b + 1) * layout_.block);
            for (std::int64_t o = 0; o < told_.outputs; ++o, starts += 4) {
                std::memcpy(starts, &made, 4);
                for (std::int64_t c = b * layout_.block; c < stop; ++c) {
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
