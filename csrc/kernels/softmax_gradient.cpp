// "softmax_gradient": reads dy and y; dx = (dy - sum(dy y)) y, the sum along `axis`. dx may be dy.
// "softmax_with_loss_gradient": reads dloss, prob and labels; dx = (prob - [is the label]) * dloss
// / divisor, 0 where the label is ignored. dx may be prob. Parameters: axis; of the loss those of
// labels.h.

#include <algorithm>

#include "kernels/labels.h"
#include "kernels/shapes.h"
#include "kernels/spans.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr std::int64_t kColumns = 128;  // that lie side by side and are taken at once

// A few columns of one outer index; `first` is where they start.
struct Tile {
    std::int64_t outer, column, first;
    std::int64_t count;
};

template <class Body>
void each_tile(const Around& shape, int threads, const Body& body) {
    const std::int64_t tiles = (shape.inner + kColumns - 1) / kColumns;
    const double work = 0.5 * double(shape.outer * shape.extent * shape.inner);
    split(shape.outer * tiles, threads_for(work, threads), [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t i = from; i < to; ++i) {
            const std::int64_t column = i % tiles * kColumns, outer = i / tiles;
            body(Tile{outer, column, outer * shape.extent * shape.inner + column,
                      std::min(kColumns, shape.inner - column)});
        }
    });
}

class SoftmaxGradient final : public Kernel {
  public:
    explicit SoftmaxGradient(const Problem& problem) : loops_(spans()) {
        expect_dense(problem, "softmax_gradient", 2, 1, 1);
        const auto& dims = problem.reads[0].dims;
        expect(problem.reads[1].dims == dims && problem.writes[0].dims == dims,
               "softmax_gradient keeps the shape");
        shape_ = around(problem.reads[0], problem.attrs.integer("axis"));
    }

    void run(const Run& run) const override {
        each_tile(shape_, run.threads, [&](const Tile& tile) {
            const float *const dy = run.in(0) + tile.first, *const y = run.in(1) + tile.first;
            if (shape_.inner == 1) return row(dy, y, run.out(0) + tile.first);
            columns(dy, y, run.out(0) + tile.first, tile.count);
        });
    }

  private:
    void row(const float* dy, const float* y, float* dx) const {
        double sums[16] = {}, products[16] = {}, mean = 0;
        loops_.add_lane_products(sums, products, dy, y, shape_.extent);
        for (const double each : products) mean += each;
        loops_.normalize(dx, dy, shape_.extent, float(mean), 0, 1);
        loops_.binary_of(Opcode::mul)(dx, dx, y, shape_.extent);
    }

    void columns(const float* dy, const float* y, float* dx, std::int64_t count) const {
        double sums[kColumns] = {}, products[kColumns] = {};
        float means[kColumns];
        for (std::int64_t c = 0; c < shape_.extent; ++c) {
            const std::int64_t at = c * shape_.inner;
            loops_.add_products(sums, products, dy + at, y + at, count);
        }
        for (std::int64_t i = 0; i < count; ++i) means[i] = float(products[i]);
        for (std::int64_t c = 0; c < shape_.extent; ++c) {
            const std::int64_t at = c * shape_.inner;
            loops_.binary_of(Opcode::sub)(dx + at, dy + at, means, count);
            loops_.binary_of(Opcode::mul)(dx + at, dx + at, y + at, count);
        }
    }

    const Spans& loops_;
    Around shape_{};
};

class SoftmaxWithLossGradient final : public Kernel {
  public:
    explicit SoftmaxWithLossGradient(const Problem& problem)
        : loops_(spans()),
          shape_(shape_of(problem)),
          labels_(problem.reads[2], shape_.outer * shape_.inner, shape_.extent, problem.attrs),
          divisor_(problem.attrs) {}

    void run(const Run& run) const override {
        const float* const labels = run.in(2);
        const std::int64_t valid = labels_.check(labels, run);
        if (valid < 0) return;
        const float scale = float(double(run.in(0)[0]) / divisor_.of(valid));
        each_tile(shape_, run.threads, [&](const Tile& tile) {
            columns(run.in(1) + tile.first, labels, scale, tile, run.out(0) + tile.first);
        });
    }

  private:
    static Around shape_of(const Problem& problem) {
        expect_dense(problem, "softmax_with_loss_gradient", 3, 1, 1);
        expect(problem.reads[0].size() == 1 && problem.writes[0].dims == problem.reads[1].dims,
               "softmax_with_loss_gradient has one dloss, and dx in the shape of prob");
        return around(problem.reads[1], problem.attrs.integer("axis"));
    }

    void columns(const float* prob, const float* labels, float scale, const Tile& tile,
                 float* dx) const {
        std::int64_t target[kColumns];  // where each label's element is, -1 for an ignored one
        float made[kColumns], factors[kColumns];
        for (std::int64_t i = 0; i < tile.count; ++i) {
            const std::int64_t label =
                labels_.at(labels, tile.outer * shape_.inner + tile.column + i);
            target[i] = label < 0 ? -1 : label * shape_.inner + i;
            factors[i] = label < 0 ? 0 : scale;
            made[i] = label < 0 ? 0 : (prob[target[i]] - 1) * scale;
        }
        if (shape_.inner == 1) {
            loops_.normalize(dx, prob, shape_.extent, 0, 0, factors[0]);
        }
        for (std::int64_t c = 0; shape_.inner > 1 && c < shape_.extent; ++c) {
            const std::int64_t at = c * shape_.inner;
            loops_.binary_of(Opcode::mul)(dx + at, prob + at, factors, tile.count);
        }
        for (std::int64_t i = 0; i < tile.count; ++i) {
            if (target[i] >= 0) {
                dx[target[i]] = made[i];
                continue;
            }
            for (std::int64_t c = 0; c < shape_.extent; ++c) dx[c * shape_.inner + i] = 0;
        }
    }

    const Spans& loops_;
    Around shape_;
    Labels labels_;
    Divisor divisor_;
};

GRAPHC_KERNEL("softmax_gradient", SoftmaxGradient)
GRAPHC_KERNEL("softmax_with_loss_gradient", SoftmaxWithLossGradient)

}  // namespace

}  // namespace graphc
