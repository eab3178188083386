// "inner_product_sparse": y[n,o] = sum_k w[o,k] x[n,k] + bias[o] over the weights that are not
// zero, packed by "inner_product_sparse_pack". Few rows of x are gathered from, one after the
// other; many are turned first, so that vectors are rows of x. Operands and attributes:
// inner_product.h.

#include "kernels/sparse/inner_product.h"

#include <cstring>

#include "kernels/parallel.h"
#include "kernels/sparse/product.h"
#include "kernels/split.h"

namespace graphc::sparse {

namespace {

constexpr std::int64_t kFewRows = 6;
constexpr std::int64_t kOutputs = 16;  // of a task

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// The packed weight: int32 starts of outputs, then int32 offsets and values of all entries, or
// where rows are vectors entries, each with both.
struct Layout {
    const Loops& loops;
    std::int64_t outputs, room, pitch;  // floats from element to element of the turned x
    bool is_turned;

    explicit Layout(const ProductTold& told)
        : loops(chosen_loops()),
          outputs(told.outputs),
          room(told.room()),
          pitch(ceil_div(told.batch, loops.width) * loops.width),
          is_turned(told.batch > kFewRows) {
        require(room < (std::int64_t(1) << 31), "too many weights");
        require(product({told.depth, pitch}) < (std::int64_t(1) << 31), "x is too large");
    }

    std::int64_t header() const { return (outputs + 2) / 2 * 2; }
    std::int64_t size() const { return header() + 2 * room; }
};

class InnerProduct final : public Kernel {
  public:
    explicit InnerProduct(const Problem& problem)
        : told_(problem.attrs),
          layout_(told_),
          threads_(threads_for(0.2 * double(layout_.room) * double(told_.batch), problem.threads)) {
        told_.check(problem, layout_.size());
    }

    std::size_t packed() const override { return std::size_t(layout_.size()); }

    std::size_t workspace() const override {
        if (!layout_.is_turned) return 0;
        return x_bytes() + sum_bytes() * std::size_t(threads_);
    }

    void run(const Run& run) const override {
        if (told_.batch == 0) return;
        const int threads = std::min(run.threads, threads_);
        float* x = reinterpret_cast<float*>(run.workspace);
        if (layout_.is_turned) {
            share_out(ceil_div(told_.depth, kOutputs), threads,
                      [&](std::int64_t task, int) { turn(run.in(0), task * kOutputs, x); });
        }
        share_out(ceil_div(told_.outputs, kOutputs), threads, [&](std::int64_t task, int thread) {
            const std::int64_t first = task * kOutputs;
            const std::int64_t count = std::min(kOutputs, told_.outputs - first);
            if (layout_.is_turned) {
                char* own = run.workspace + x_bytes() + sum_bytes() * std::size_t(thread);
                multiply_rows(run, x, first, count, reinterpret_cast<float*>(own));
            } else {
                gather(run, first, count);
            }
        });
    }

  private:
    std::size_t x_bytes() const {
        return std::size_t(ceil_div(told_.depth * layout_.pitch, 16) * 16) * sizeof(float);
    }
    std::size_t sum_bytes() const {
        return std::size_t(kOutputs * (layout_.pitch + kOutputs)) * sizeof(float);
    }

    void turn(const float* x, std::int64_t first, float* to) const {
        const std::int64_t stop = std::min(told_.depth, first + kOutputs);
        for (std::int64_t k = first; k < stop; ++k) {
            float* row = to + k * layout_.pitch;
            std::int64_t n = 0;
            for (; n < told_.batch; ++n) row[n] = x[n * told_.depth + k];
            for (; n < layout_.pitch; ++n) row[n] = 0;
        }
    }

    void gather(const Run& run, std::int64_t first, std::int64_t count) const {
        const auto* packed = reinterpret_cast<const std::int32_t*>(run.reads[1]);
        const std::int32_t* offsets = packed + layout_.header();
        const float* values = run.in(1) + layout_.header() + layout_.room;
        for (std::int64_t n = 0; n < told_.batch; ++n) {
            float sums[kOutputs];
            for (std::int64_t i = 0; i < count; ++i) {
                const std::int32_t begin = packed[first + i], end = packed[first + i + 1];
                sums[i] = layout_.loops.dot(offsets + begin, values + begin, end - begin,
                                            run.in(0) + n * told_.depth);
            }
            told_.place(run, layout_.loops, n, first, count, sums);
        }
    }

    void multiply_rows(const Run& run, const float* x, std::int64_t first, std::int64_t count,
                       float* sums) const {
        const char* packed = run.reads[1];
        const std::int64_t vectors = layout_.pitch / layout_.loops.width;
        RowJob job{};
        job.starts = true;
        job.last = layout_.loops.width;
        for (std::int64_t i = 0; i < count; ++i) {
            std::int32_t ends[2];
            std::memcpy(ends, packed + (first + i) * 4, sizeof ends);
            job.entries = reinterpret_cast<const Entry*>(packed + layout_.header() * 4) + ends[0];
            job.count = ends[1] - ends[0];
            for (std::int64_t v = 0; v < vectors; v += layout_.loops.vectors) {
                const std::int64_t many =
                    std::min<std::int64_t>(vectors - v, layout_.loops.vectors);
                job.x = x + v * layout_.loops.width;
                job.sums = sums + i * layout_.pitch + v * layout_.loops.width;
                job.ahead = job.sums;
                layout_.loops.row[many - 1](job);
            }
        }
        float* turned = sums + kOutputs * layout_.pitch;
        for (std::int64_t n = 0; n < told_.batch; ++n) {
            for (std::int64_t i = 0; i < count; ++i) turned[i] = sums[i * layout_.pitch + n];
            told_.place(run, layout_.loops, n, first, count, turned);
        }
    }

    ProductTold told_;
    Layout layout_;
    int threads_;
};

// weight (O, K), or (K, O) -> packed. Fault GC-W004.
class InnerProductPack final : public Kernel {
  public:
    explicit InnerProductPack(const Problem& problem) : told_(problem.attrs), layout_(told_) {
        require(problem.reads.size() == 1 && problem.writes.size() == 1, "number of operands");
        require_flat(problem.reads[0], told_.weights(), "weight");
        require_flat(problem.writes[0], layout_.size(), "packed weight");
    }

    void run(const Run& run) const override {
        const float* weight = run.in(0);
        const std::int64_t count =
            told_.weights() - std::int64_t(std::count(weight, weight + told_.weights(), 0.0f));
        if (count > layout_.room) return report_room(run.fault, count, layout_.room);
        auto* starts = reinterpret_cast<std::int32_t*>(run.writes[0]);
        std::int32_t* offsets = starts + layout_.header();
        float* values = run.out(0) + layout_.header() + layout_.room;
        char* entries = run.writes[0] + layout_.header() * 4;
        std::int32_t made = 0;
        for (std::int64_t o = 0; o < told_.outputs; ++o) {
            starts[o] = made;
            for (std::int64_t k = 0; k < told_.depth; ++k) {
                const float value = told_.weight(weight, o, k);
                if (value == 0) continue;
                if (layout_.is_turned) {
                    const Entry entry{std::int32_t(k * layout_.pitch), value};
                    std::memcpy(entries + std::int64_t(made) * 8, &entry, 8);
                } else {
                    offsets[made] = std::int32_t(k);
                    values[made] = value;
                }
                ++made;
            }
        }
        starts[told_.outputs] = made;
    }

  private:
    ProductTold told_;
    Layout layout_;
};

GRAPHC_KERNEL("inner_product_sparse", InnerProduct)
GRAPHC_KERNEL("inner_product_sparse_pack", InnerProductPack)

}  // namespace

ProductTold::ProductTold(const Attrs& attrs)
    : act(attrs),
      batch(attrs.integer("batch")),
      depth(attrs.integer("depth")),
      outputs(attrs.integer("outputs")),
      stored(attrs.integer("stored")),
      has_bias(flag(attrs, "bias")),
      has_residual(flag(attrs, "residual")),
      is_transposed(flag(attrs, "transpose")) {
    require(batch >= 0 && depth >= 0 && outputs >= 0 && stored >= 0, "extents");
    product({batch + kMaxWidth, outputs + 1});
    product({depth, outputs + 1});
}

void ProductTold::check(const Problem& problem, std::int64_t packed) const {
    const std::size_t reads = std::size_t(2 + int(has_bias) + int(has_residual));
    require(problem.reads.size() == reads && problem.writes.size() == 1, "operands");
    require_flat(problem.reads[0], batch * depth, "x");
    require_flat(problem.writes[0], batch * outputs, "y");
    if (problem.reads[1].size() > 0) require_flat(problem.reads[1], packed, "packed weight");
    if (has_bias) require_flat(problem.reads[2], outputs, "bias");
    if (has_residual) require_flat(problem.reads.back(), batch * outputs, "residual");
}

void ProductTold::place(const Run& run, const Loops& loops, std::int64_t row, std::int64_t first,
                        std::int64_t count, const float* sums) const {
    TileStore store{};
    store.activation = act.activation;
    store.slope = act.slope;
    store.c = run.out(0) + row * outputs + first;
    if (has_bias) store.column_bias = run.in(2) + first;
    if (has_residual) store.add = run.in(2 + int(has_bias)) + row * outputs + first;
    loops.place(sums, count, store);
}

}  // namespace graphc::sparse
