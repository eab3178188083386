// Gradients of losses that compare numbers, each of which reads dloss first.
// "euclidean_loss_gradient": diff; dx = diff * dloss * sign / N. dx may be diff.
// "sigmoid_cross_entropy_loss_gradient": prob and targets; dx = (prob - target) * dloss / divisor,
//     0 where the target is ignored (labels.h). dx may be prob.
// "contrastive_loss_gradient": diff and similar; dx = diff * dloss * sign / N, times 1 for similar
//     rows, else times (d - margin) / (d + 1e-4) while that is negative, with `legacy` times -1
//     while d^2 is below the margin. dx may be diff.

#include <cmath>

#include "kernels/labels.h"
#include "kernels/shapes.h"
#include "kernels/spans.h"
#include "kernels/split.h"
#include "kernels/sums.h"

namespace graphc {

namespace {

void expect_loss(const Problem& problem, const char* name, std::size_t reads) {
    expect_dense(problem, name, reads, 1, 1);
    expect(problem.reads[0].size() == 1 && problem.reads[1].rank > 0 &&
               problem.writes[0].size() == problem.reads[1].size(),
           std::string(name) + " has one dloss, and dx in the shape of what it reads next");
}

class EuclideanLossGradient final : public Kernel {
  public:
    explicit EuclideanLossGradient(const Problem& problem)
        : loops_(spans()), sign_(problem.attrs.integer("sign")) {
        expect_loss(problem, "euclidean_loss_gradient", 2);
        batch_ = problem.reads[1].dims[0];
        size_ = problem.reads[1].size();
    }

    void run(const Run& run) const override {
        const float scale = float(double(sign_) * double(run.in(0)[0]) / double(batch_));
        split(size_, threads_for(0.1 * double(size_), run.threads),
              [&](std::int64_t from, std::int64_t to) {
                  loops_.normalize(run.out(0) + from, run.in(1) + from, to - from, 0, 0, scale);
              });
    }

  private:
    const Spans& loops_;
    std::int64_t sign_, batch_ = 0, size_ = 0;
};

class SigmoidCrossEntropyLossGradient final : public Kernel {
  public:
    explicit SigmoidCrossEntropyLossGradient(const Problem& problem)
        : divisor_(problem.attrs), has_ignored_(problem.attrs.has("ignore_label")) {
        expect_loss(problem, "sigmoid_cross_entropy_loss_gradient", 3);
        size_ = problem.reads[1].size();
        expect(problem.reads[2].size() == size_, "a target per score");
        if (has_ignored_) ignored_ = double(problem.attrs.integer("ignore_label"));
    }

    void run(const Run& run) const override {
        const float *const prob = run.in(1), *const targets = run.in(2);
        std::int64_t valid = size_;
        for (std::int64_t i = 0; has_ignored_ && i < size_; ++i) valid -= !counts(targets[i]);
        const float scale = float(double(run.in(0)[0]) / divisor_.of(valid));
        split(size_, threads_for(0.3 * double(size_), run.threads),
              [&](std::int64_t from, std::int64_t to) {
                  for (std::int64_t i = from; i < to; ++i) {
                      const float rest = counts(targets[i]) ? prob[i] - targets[i] : 0;
                      run.out(0)[i] = rest * scale;
                  }
              });
    }

  private:
    bool counts(float target) const {
        return !has_ignored_ || std::trunc(double(target)) != ignored_;
    }

    Divisor divisor_;
    bool has_ignored_;
    double ignored_ = 0;
    std::int64_t size_ = 0;
};

class ContrastiveLossGradient final : public Kernel {
  public:
    explicit ContrastiveLossGradient(const Problem& problem)
        : loops_(spans()),
          sign_(problem.attrs.integer("sign")),
          margin_(problem.attrs.real("margin")),
          is_legacy_(problem.attrs.integer("legacy") != 0) {
        expect_loss(problem, "contrastive_loss_gradient", 3);
        batch_ = problem.reads[1].dims[0];
        row_ = problem.reads[1].count(1, problem.reads[1].rank);
        expect(problem.reads[2].size() == batch_, "contrastive_loss_gradient compares rows");
    }

    void run(const Run& run) const override {
        const double alpha = double(sign_) * double(run.in(0)[0]) / double(batch_);
        split(batch_, threads_for(0.3 * double(batch_ * row_), run.threads),
              [&](std::int64_t from, std::int64_t to) {
                  for (std::int64_t n = from; n < to; ++n) {
                      const float* const diff = run.in(1) + n * row_;
                      float* const dx = run.out(0) + n * row_;
                      const double factor = factor_of(diff, run.in(2)[n]);
                      if (factor == 0) {  // even where its difference is not finite
                          std::fill_n(dx, row_, 0.0F);
                      } else {
                          loops_.normalize(dx, diff, row_, 0, 0, float(alpha * factor));
                      }
                  }
              });
    }

  private:
    double factor_of(const float* diff, float similar) const {
        if (std::trunc(similar) != 0) return 1;
        const double square = loops_.sum_squares(diff, row_), d = std::sqrt(square);
        const double gap = margin_ - (is_legacy_ ? square : d);
        if (!(gap > 0)) return 0;
        return is_legacy_ ? -1 : -gap / (d + 1e-4);
    }

    const Spans& loops_;
    std::int64_t sign_;
    double margin_;
    bool is_legacy_;
    std::int64_t batch_ = 0, row_ = 0;
};

GRAPHC_KERNEL("euclidean_loss_gradient", EuclideanLossGradient)
GRAPHC_KERNEL("sigmoid_cross_entropy_loss_gradient", SigmoidCrossEntropyLossGradient)
GRAPHC_KERNEL("contrastive_loss_gradient", ContrastiveLossGradient)

}  // namespace

}  // namespace graphc
