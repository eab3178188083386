// "mvn": y = (x - mean) / (sqrt(variance) + eps) within each group of `size` elements.
// "mvn_gradient": reads dy, y and deviation, the denominator; with the means over each group,
// dx = (dy - mean(dy) - mean(dy y) y) / deviation. Without `variance` dy alone, dx = dy - mean(dy).
// dx may be dy.

#include <algorithm>
#include <cmath>

#include "kernels/moments.h"
#include "kernels/shapes.h"
#include "kernels/split.h"

namespace graphc {

namespace {

class Mvn final : public Kernel {
  public:
    explicit Mvn(const Problem& problem)
        : loops_(spans()),
          groups_(problem.attrs.integer("groups")),
          eps_(problem.attrs.real("eps")),
          has_variance_(problem.attrs.integer("variance") != 0) {
        expect_dense(problem, "mvn", 1, 1, 2);
        const std::int64_t size = problem.reads[0].size();
        expect(groups_ >= 0 && size == problem.writes[0].size() &&
                   (groups_ > 0 ? size % groups_ == 0 : size == 0),
               "mvn's groups do not divide x");
        size_ = groups_ > 0 ? size / groups_ : 0;
        keeps_ = problem.writes.size() == 2;
        expect(!keeps_ || problem.writes[1].size() == groups_, "mvn has a deviation per group");
    }

    void run(const Run& run) const override {
        const float* const x = run.in(0);
        float* const y = run.out(0);
        const int threads = threads_for(0.2 * double(groups_ * size_), run.threads);
        split(groups_, threads, [&](std::int64_t from, std::int64_t to) {
            for (std::int64_t g = from; g < to; ++g) {
                const float* const row = x + g * size_;
                const Moments found = moments_of(loops_, row, 1, size_, size_);
                const double deviation = has_variance_ ? std::sqrt(found.variance) + eps_ : 1;
                const Centre centre(found.mean);
                loops_.normalize(y + g * size_, row, size_, centre.high, centre.low,
                                 float(1 / deviation));
                if (keeps_) run.out(1)[g] = float(deviation);
            }
        });
    }

  private:
    const Spans& loops_;
    std::int64_t groups_, size_ = 0;
    double eps_;
    bool has_variance_, keeps_ = false;
};

class MvnGradient final : public Kernel {
  public:
    explicit MvnGradient(const Problem& problem)
        : loops_(spans()),
          groups_(problem.attrs.integer("groups")),
          has_variance_(problem.attrs.integer("variance") != 0) {
        expect_dense(problem, "mvn_gradient", has_variance_ ? 3 : 1, 1, 1);
        const std::int64_t size = problem.reads[0].size();
        expect(groups_ >= 0 && size == problem.writes[0].size() &&
                   (groups_ > 0 ? size % groups_ == 0 : size == 0),
               "mvn's groups do not divide dy");
        size_ = groups_ > 0 ? size / groups_ : 0;
        expect(!has_variance_ ||
                   (problem.reads[1].size() == size && problem.reads[2].size() == groups_),
               "mvn_gradient has a deviation per group");
    }

    void run(const Run& run) const override {
        const int threads = threads_for(0.3 * double(groups_ * size_), run.threads);
        split(groups_, threads, [&](std::int64_t from, std::int64_t to) {
            for (std::int64_t g = from; g < to; ++g) {
                const float* const dy = run.in(0) + g * size_;
                float* const dx = run.out(0) + g * size_;
                if (has_variance_) {
                    whole(dy, run.in(1) + g * size_, run.in(2)[g], dx);
                } else {
                    const Centre mean(loops_.sum(dy, size_) / double(size_));
                    loops_.normalize(dx, dy, size_, mean.high, mean.low, 1);
                }
            }
        });
    }

  private:
    void whole(const float* dy, const float* y, float deviation, float* dx) const {
        constexpr int kLanes = 16;
        double sums[kLanes] = {}, products[kLanes] = {}, sum = 0, product = 0;
        loops_.add_lane_products(sums, products, dy, y, size_);
        for (int k = 0; k < kLanes; ++k) {
            sum += sums[k];
            product += products[k];
        }
        const Centre mean(sum / double(size_));
        float numbers[4][kLanes];
        std::fill_n(numbers[0], kLanes, mean.high);
        std::fill_n(numbers[1], kLanes, mean.low);
        std::fill_n(numbers[2], kLanes, float(product / double(size_)));
        std::fill_n(numbers[3], kLanes, 1 / deviation);
        loops_.lane_slopes(dx, dy, y, size_, numbers[0], numbers[1], numbers[2], numbers[3]);
    }

    const Spans& loops_;
    std::int64_t groups_, size_ = 0;
    bool has_variance_;
};

GRAPHC_KERNEL("mvn", Mvn)
GRAPHC_KERNEL("mvn_gradient", MvnGradient)

}  // namespace

}  // namespace graphc
