// BatchNorm in parts: "batch_norm" with the state's statistics; "batch_norm_normalize" and
// "batch_norm_update" with the batch's. The first two take x and y in blocks of channels, too (see
// blocked.h), if they have the parameter channels. With the parameters of FollowingScale the second
// also reads a weight per channel, and perhaps a bias, and writes z = relu(y * weight + bias).

#include "kernels/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string>
#include <vector>

#include "kernels/blocked.h"
#include "kernels/expr.h"
#include "kernels/moments.h"
#include "kernels/shapes.h"
#include "kernels/split.h"

namespace graphc {

namespace {

// y = (x - mean) / sqrt(variance + eps), and perhaps z: per channel the operands of a program, kept
// in the workspace.
class Normalize {
  public:
    // `row`: a number per channel, as it lies along the axes of x from `start` on (-1: along all);
    // it may be padded.
    Normalize(const Problem& problem, double eps, std::int64_t channels, const Spec& row, int start)
        : eps_(eps),
          channels_(channels),
          size_(row.size()),
          scale_(problem.attrs),
          expr_(program(problem, scale_, row, start)) {}

    Normalize(const Problem& problem, double eps)
        : Normalize(problem, eps, channels_of(problem.reads[0]), row_of(problem.reads[0]),
                    row_of(problem.reads[0]).rank) {}

    std::size_t workspace() const {
        return std::size_t(size_) * (3 + scale_.rows()) * sizeof(float);
    }

    // A channel's statistics are mean[c] * scale and variance[c] * scale.
    void run(const Run& run, const float* mean, const float* variance, double scale) const {
        float* const high = reinterpret_cast<float*>(run.workspace);
        float* const low = high + size_;
        float* const factor = low + size_;
        for (std::int64_t c = 0; c < channels_; ++c) {
            const Centre centre(double(mean[c]) * scale);
            high[c] = centre.high;
            low[c] = centre.low;
            factor[c] = float(1 / std::sqrt(double(variance[c]) * scale + eps_));
        }
        for (std::int64_t c = channels_; c < size_; ++c) high[c] = low[c] = factor[c] = 0;
        const char* reads[6] = {run.reads[0], reinterpret_cast<const char*>(high),
                                reinterpret_cast<const char*>(low),
                                reinterpret_cast<const char*>(factor)};
        for (int k = 0; k < scale_.rows(); ++k) {  // the weight, the bias
            float* const own = factor + size_ * (k + 1);
            std::copy_n(run.in(3 + k), channels_, own);
            std::fill(own + channels_, own + size_, 0.0F);
            reads[4 + k] = reinterpret_cast<const char*>(own);
        }
        expr_.run(reads, run.writes, run);
    }

  private:
    static Spec row_of(const Spec& x) {
        Spec row;
        row.rank = x.rank > 1 ? 1 : 0;
        row.dims[0] = channels_of(x);
        row.strides[0] = 1;
        return row;
    }

    static Problem program(const Problem& problem, const FollowingScale& scale, const Spec& row,
                           std::int64_t start) {
        const std::int64_t operands = 4 + scale.rows();
        Problem made{{problem.reads[0]}, problem.writes, {}};
        made.reads.resize(std::size_t(operands), row);
        std::vector<std::int64_t> starts(std::size_t(operands), start);
        starts[0] = -1;
        made.attrs.set("starts", starts);
        made.attrs.set("constants", std::vector<double>{0, scale.slope});
        if (scale.is_there) {
            made.attrs.set("code", scale_program(scale, operands));
        } else {
            made.attrs.set("code",
                           std::vector<std::int64_t>{int(Opcode::normalize), -1, 0, 1, 2, 3});
        }
        return made;
    }

    // Slots: the operands, zero and the slope, y, z.
    static std::vector<std::int64_t> scale_program(const FollowingScale& scale, std::int64_t zero) {
        const std::int64_t slope = zero + 1, y = zero + 2, z = zero + 3, other = zero + 4;
        std::vector<std::int64_t> code = {int(Opcode::normalize), y, 0, 1, 2, 3};
        const auto add = [&](std::initializer_list<std::int64_t> more) {
            code.insert(code.end(), more);
        };
        if (scale.has_bias) {
            add({int(Opcode::mul_add), z, y, 4, 5});
        } else {
            add({int(Opcode::mul), z, y, 4});
        }
        if (scale.has_relu && scale.slope == 0) {
            add({int(Opcode::max), z, z, zero});
        } else if (scale.has_relu) {
            add({int(Opcode::mul), other, z, slope, int(Opcode::less), z, zero, z, z, other});
        }
        add({int(Opcode::copy), -1, y, int(Opcode::copy), -2, z});
        return code;
    }

    double eps_;
    std::int64_t channels_, size_;
    FollowingScale scale_;
    Expr expr_;
};

Normalize normalize_of(const Problem& problem, const std::string& name) {
    const double eps = problem.attrs.real("eps");
    const bool is_blocked = problem.attrs.has("channels");
    const std::int64_t channels =
        is_blocked ? problem.attrs.integer("channels") : channels_of(problem.reads[0]);
    expect(is_row(problem.reads[1], channels) && is_row(problem.reads[2], channels),
           name + " has a mean and a variance per channel");
    if (!is_blocked) return Normalize(problem, eps);
    const Blocked x(problem.reads[0], channels, name);
    for (const Spec& made : problem.writes) static_cast<void>(Blocked(made, channels, name));
    Spec row = problem.reads[0];
    row.dims[0] = row.dims[2] = row.dims[3] = 1;
    row.strides = {x.blocks * x.lanes, x.lanes, x.lanes, x.lanes, 1};
    return Normalize(problem, eps, channels, row, -1);
}

class Global final : public Kernel {
  public:
    explicit Global(const Problem& problem)
        : normalize_(normalize_of(checked(problem), "batch_norm")) {}

    std::size_t workspace() const override { return normalize_.workspace(); }

    void run(const Run& run) const override {
        const double factor = run.in(3)[0];
        normalize_.run(run, run.in(1), run.in(2), factor != 0 ? 1 / factor : 0);
    }

  private:
    static const Problem& checked(const Problem& problem) {
        expect(
            problem.reads.size() == 4 && problem.writes.size() == 1 && is_row(problem.reads[3], 1),
            "batch_norm reads one factor, the last of four operands");
        return problem;
    }

    Normalize normalize_;
};

class Given final : public Kernel {
  public:
    explicit Given(const Problem& problem)
        : normalize_(normalize_of(checked(problem), "batch_norm_normalize")) {}

    std::size_t workspace() const override { return normalize_.workspace(); }

    void run(const Run& run) const override { normalize_.run(run, run.in(1), run.in(2), 1); }

  private:
    static const Problem& checked(const Problem& problem) {
        const FollowingScale scale(problem.attrs);
        bool fits = problem.reads.size() == std::size_t(3 + scale.rows()) &&
                    problem.writes.size() == (scale.is_there ? 2 : 1);
        for (int k = 3; fits && k < 3 + scale.rows(); ++k) {
            fits = is_row(problem.reads[std::size_t(k)], problem.reads[1].size());
        }
        expect(fits, "batch_norm_normalize has other operands");
        return problem;
    }

    Normalize normalize_;
};

// Reads batch_mean, batch_variance, mean, variance, factor; writes the last three anew.
class Update final : public Kernel {
  public:
    explicit Update(const Problem& problem)
        : kept_(problem.attrs.real("kept")), count_(problem.attrs.integer("count")) {
        expect_dense(problem, "batch_norm_update", 5, 3, 3);
        channels_ = problem.reads[0].size();
        for (const int i : {1, 2, 3}) {
            expect(problem.reads[i].size() == channels_, "batch_norm_update: channels differ");
        }
        expect(problem.reads[4].size() == 1 && problem.writes[0].size() == channels_ &&
                   problem.writes[1].size() == channels_ && problem.writes[2].size() == 1,
               "batch_norm_update: channels differ");
    }

    void run(const Run& run) const override {
        const double unbiased = count_ > 1 ? double(count_) / double(count_ - 1) : 1;
        const bool is_empty = count_ == 0;  // nothing to add, nothing decays
        const auto fold = [&](int state, const float* added, double factor, std::int64_t size) {
            const float* const old = run.in(2 + state);
            float* const made = run.out(state);
            for (std::int64_t c = 0; c < size; ++c) {
                const double more = added ? double(added[c]) : 1;
                made[c] = is_empty ? old[c] : float(double(old[c]) * kept_ + factor * more);
            }
        };
        fold(0, run.in(0), 1, channels_);
        fold(1, run.in(1), unbiased, channels_);
        fold(2, nullptr, 1, 1);
    }

  private:
    double kept_;
    std::int64_t count_, channels_;
};

GRAPHC_KERNEL("batch_norm", Global)
GRAPHC_KERNEL("batch_norm_normalize", Given)
GRAPHC_KERNEL("batch_norm_update", Update)

}  // namespace

}  // namespace graphc
