// "arg_max": the `top_k` largest elements along an axis, as indices, values, or both. Of equal ones
// the larger index comes first; NaN is larger than any number.

#include <algorithm>
#include <cmath>

#include "kernels/shapes.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr std::int64_t kColumns = 128;

// Does a later element of value y come before an earlier one of value x?
bool beats(float y, float x) { return std::isnan(y) || y >= x; }

class ArgMax final : public Kernel {
  public:
    explicit ArgMax(const Problem& problem)
        : top_k_(problem.attrs.integer("top_k")),
          has_indices_(problem.attrs.integer("indices") != 0),
          has_values_(problem.attrs.integer("values") != 0) {
        expect_dense(problem, "arg_max", 1, 1, 1);
        const Spec& x = problem.reads[0];
        const std::int64_t axis = problem.attrs.integer("axis");
        // axis -1: each sample is one row
        shape_ =
            axis >= 0 ? around(x, axis) : Around{x.count(0, 1), x.count(1, std::max(1, x.rank)), 1};
        expect(
            top_k_ >= 1 && (shape_.extent >= top_k_ || x.size() == 0) && shape_.extent <= INT32_MAX,
            "arg_max takes top_k of at least as many");
        const int planes = int(has_indices_) + int(has_values_);
        expect(problem.writes[0].size() == shape_.outer * planes * top_k_ * shape_.inner,
               "arg_max gives top_k indices or values per row");
    }

    // The best of every row, while it is searched.
    std::size_t workspace() const override {
        const std::int64_t rows = top_k_ == 1 ? 0 : shape_.outer * shape_.inner;
        return std::size_t(rows * top_k_) * sizeof(std::int32_t);
    }

    void run(const Run& run) const override {
        const std::int64_t tiles = (shape_.inner + kColumns - 1) / kColumns;
        const double size = double(shape_.outer * shape_.extent * shape_.inner);
        split(shape_.outer * tiles, threads_for(size, run.threads),
              [&](std::int64_t from, std::int64_t to) {
                  for (std::int64_t i = from; i < to; ++i) {
                      const std::int64_t outer = i / tiles, first = i % tiles * kColumns;
                      if (top_k_ == 1) {
                          search_one(run, outer, first);
                      } else {
                          search_many(run, outer, first);
                      }
                  }
              });
    }

  private:
    // Result number j of a column.
    void put(const Run& run, std::int64_t outer, std::int64_t j, std::int64_t column,
             std::int64_t index, float value) const {
        const std::int64_t planes = int(has_indices_) + int(has_values_);
        float* y = run.out(0) + (outer * planes * top_k_ + j) * shape_.inner + column;
        if (has_indices_) {
            *y = float(index);
            y += top_k_ * shape_.inner;
        }
        if (has_values_) *y = value;
    }

    void search_one(const Run& run, std::int64_t outer, std::int64_t first) const {
        const std::int64_t n = std::min(kColumns, shape_.inner - first);
        const float* const x = run.in(0) + outer * shape_.extent * shape_.inner + first;
        float best[kColumns];
        std::int32_t index[kColumns] = {};
        std::copy_n(x, n, best);
        for (std::int64_t k = 1; k < shape_.extent; ++k) {
            const float* const row = x + k * shape_.inner;
            for (std::int64_t i = 0; i < n; ++i) {
                const bool wins = beats(row[i], best[i]);
                index[i] = wins ? std::int32_t(k) : index[i];
                best[i] = wins ? row[i] : best[i];
            }
        }
        for (std::int64_t i = 0; i < n; ++i) put(run, outer, 0, first + i, index[i], best[i]);
    }

    // Keeps the best so far in a heap with the worst of them on top.
    void search_many(const Run& run, std::int64_t outer, std::int64_t first) const {
        const std::int64_t n = std::min(kColumns, shape_.inner - first);
        for (std::int64_t column = first; column < first + n; ++column) {
            const float* const x = run.in(0) + outer * shape_.extent * shape_.inner + column;
            const auto value = [&](std::int32_t k) { return x[k * shape_.inner]; };
            const auto before = [&](std::int32_t a, std::int32_t b) {
                return a > b ? beats(value(a), value(b)) : !beats(value(b), value(a));
            };
            std::int32_t* const best = reinterpret_cast<std::int32_t*>(run.workspace) +
                                       (outer * shape_.inner + column) * top_k_;
            std::int32_t* const end = best + top_k_;
            for (std::int32_t k = 0; k < shape_.extent; ++k) {
                if (k < top_k_) {
                    best[k] = k;
                    if (k + 1 == top_k_) std::make_heap(best, end, before);
                } else if (beats(value(k), value(best[0]))) {
                    std::pop_heap(best, end, before);
                    end[-1] = k;
                    std::push_heap(best, end, before);
                }
            }
            std::sort_heap(best, end, before);
            for (std::int64_t j = 0; j < top_k_; ++j) {
                put(run, outer, j, column, best[j], value(best[j]));
            }
        }
    }

    Around shape_{};
    std::int64_t top_k_;
    bool has_indices_, has_values_;
};

GRAPHC_KERNEL("arg_max", ArgMax)

}  // namespace

}  // namespace graphc
