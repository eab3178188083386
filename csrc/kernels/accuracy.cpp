// "accuracy": share of labels beaten or met by fewer than `top_k` other scores; per class too, if
// asked. A NaN score of the label is beaten by none.

#include <algorithm>
#include <cstring>

#include "kernels/labels.h"
#include "kernels/shapes.h"
#include "kernels/spans.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr std::int64_t kColumns = 256;

class Accuracy final : public Kernel {
  public:
    explicit Accuracy(const Problem& problem)
        : loops_(spans()),
          shape_(shape_of(problem)),
          top_k_(problem.attrs.integer("top_k")),
          labels_(problem.reads[1], positions(), shape_.extent, problem.attrs),
          has_classes_(problem.writes.size() == 2) {}

    // How often each class was seen and found, then whether each position was found.
    std::size_t workspace() const override {
        return std::size_t(shape_.extent) * 2 * sizeof(std::int64_t) + std::size_t(positions());
    }

    void run(const Run& run) const override {
        const float* const x = run.in(0);
        const float* const labels = run.in(1);
        const std::int64_t valid = labels_.check(labels, run);
        if (valid < 0) return;
        std::int64_t* const seen = reinterpret_cast<std::int64_t*>(run.workspace);
        std::int64_t* const found = seen + shape_.extent;
        char* const is_right = reinterpret_cast<char*>(found + shape_.extent);
        std::memset(seen, 0, std::size_t(shape_.extent) * 2 * sizeof(std::int64_t));
        const std::int64_t tiles = (shape_.inner + kColumns - 1) / kColumns;
        const double cost = 0.2 * double(positions() * shape_.extent);
        split(shape_.outer * tiles, threads_for(cost, run.threads),
              [&](std::int64_t from, std::int64_t to) {
                  for (std::int64_t i = from; i < to; ++i) {
                      judge(x, labels, i / tiles, i % tiles * kColumns, is_right);
                  }
              });
        std::int64_t right = 0;
        for (std::int64_t i = 0; i < positions(); ++i) {
            const std::int64_t label = labels_.at(labels, i);
            if (label < 0) continue;
            ++seen[label];
            found[label] += is_right[i];
            right += is_right[i];
        }
        run.out(0)[0] = float(double(right) / double(std::max<std::int64_t>(1, valid)));
        for (std::int64_t c = 0; has_classes_ && c < shape_.extent; ++c) {
            run.out(1)[c] = float(double(found[c]) / double(std::max<std::int64_t>(1, seen[c])));
        }
    }

  private:
    static Around shape_of(const Problem& problem) {
        expect_dense(problem, "accuracy", 2, 1, 2);
        const auto& reads = problem.reads;
        const auto& writes = problem.writes;
        const Around shape = around(reads[0], problem.attrs.integer("axis"));
        expect(writes[0].size() == 1 && (writes.size() == 1 || writes[1].size() == shape.extent),
               "accuracy gives one share, and one per class");
        return shape;
    }

    std::int64_t positions() const { return shape_.outer * shape_.inner; }

    // Fills is_right for the columns from `first` on of one outer index.
    void judge(const float* x, const float* labels, std::int64_t outer, std::int64_t first,
               char* is_right) const {
        const std::int64_t n = std::min(kColumns, shape_.inner - first);
        const std::int64_t position = outer * shape_.inner + first;
        x += outer * shape_.extent * shape_.inner + first;
        float own[kColumns];
        std::int64_t met[kColumns] = {};  // scores that are at least the label's, itself included
        for (std::int64_t i = 0; i < n; ++i) {
            const std::int64_t label = labels_.at(labels, position + i);
            own[i] = x[(label < 0 ? 0 : label) * shape_.inner + i];
        }
        if (shape_.inner == 1) {
            met[0] = loops_.count_at_least(x, shape_.extent, own[0]);
        } else {
            for (std::int64_t c = 0; c < shape_.extent; ++c) {
                const float* const row = x + c * shape_.inner;
                for (std::int64_t i = 0; i < n; ++i) met[i] += row[i] >= own[i];
            }
        }
        for (std::int64_t i = 0; i < n; ++i) is_right[position + i] = met[i] - 1 < top_k_;
    }

    const Spans& loops_;
    Around shape_;
    std::int64_t top_k_;
    Labels labels_;
    bool has_classes_;
};

GRAPHC_KERNEL("accuracy", Accuracy)

}  // namespace

}  // namespace graphc
