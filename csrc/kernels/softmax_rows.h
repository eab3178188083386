// exp(x - max x) and its sum along the middle axis of (outer, extent, inner), a few columns of
// `inner` at a time; shared by Softmax and by the losses that hold one.
#pragma once

#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/spans.h"

namespace graphc {

class SoftmaxRows {
  public:
    static constexpr int kColumns = 128;

    // Columns first .. first + count - 1 of one outer index. `peak`: their largest elements;
    // `total`: the sum of exp(x - peak), NaN if there is a NaN or +inf.
    struct Item {
        std::int64_t outer, first;
        int count;
        float peak[kColumns];
        double total[kColumns];
    };

    explicit SoftmaxRows(const Around& shape, const Spans& loops = spans());

    std::int64_t items() const { return shape_.outer * tiles_; }
    double cost() const { return 0.5 * double(shape_.outer * shape_.extent * shape_.inner); }

    // Fills `item` number `index`; writes exp(x - peak) into `y` unless that is null.
    void reduce(const float* x, float* y, std::int64_t index, Item& item) const;
    // Divides what reduce() has written into `y` by the totals.
    void divide(float* y, const Item& item) const;
    void run(const float* x, float* y, int threads) const;

  private:
    void reduce_row(const float* x, float* y, Item& item) const;
    std::int64_t start(const Item& item) const {
        return item.outer * shape_.extent * shape_.inner + item.first;
    }

    Around shape_;
    const Spans& loops_;
    std::int64_t tiles_;
};

}  // namespace graphc
