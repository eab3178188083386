#include "kernels/softmax_rows.h"

#include <algorithm>
#include <limits>

#include "kernels/split.h"

namespace graphc {

namespace {

constexpr std::int64_t kScratch = 512;  // as long as the runs that exp_sum adds up

}  // namespace

SoftmaxRows::SoftmaxRows(const Around& shape, const Spans& loops)
    : shape_(shape), loops_(loops), tiles_((shape.inner + kColumns - 1) / kColumns) {}

void SoftmaxRows::reduce(const float* x, float* y, std::int64_t index, Item& item) const {
    item.outer = index / tiles_;
    item.first = index % tiles_ * kColumns;
    item.count = int(std::min<std::int64_t>(kColumns, shape_.inner - item.first));
    x += start(item);
    y = y ? y + start(item) : nullptr;
    if (shape_.inner == 1) {
        reduce_row(x, y, item);
        return;
    }
    const int n = item.count;
    std::fill_n(item.peak, n, -std::numeric_limits<float>::infinity());
    std::fill_n(item.total, n, 0.0);
    for (std::int64_t c = 0; c < shape_.extent; ++c) {
        loops_.binary_of(Opcode::max)(item.peak, item.peak, x + c * shape_.inner, n);
    }
    float scratch[kColumns];
    for (std::int64_t c = 0; c < shape_.extent; ++c) {
        float* const out = y ? y + c * shape_.inner : scratch;
        loops_.binary_of(Opcode::sub)(out, x + c * shape_.inner, item.peak, n);
        loops_.unary_of(Opcode::exp)(out, out, n);
        loops_.add_to(item.total, out, n);
    }
}

void SoftmaxRows::reduce_row(const float* x, float* y, Item& item) const {
    const float peak = loops_.max(x, shape_.extent);
    double total = 0;
    if (y) {
        total = loops_.exp_sum(y, x, shape_.extent, peak);
    } else {
        float scratch[kScratch];
        for (std::int64_t at = 0; at < shape_.extent; at += kScratch) {
            total += loops_.exp_sum(scratch, x + at, std::min(kScratch, shape_.extent - at), peak);
        }
    }
    item.peak[0] = peak;
    item.total[0] = total;
}

void SoftmaxRows::divide(float* y, const Item& item) const {
    y += start(item);
    if (shape_.inner == 1) {
        loops_.normalize(y, y, shape_.extent, 0, 0, float(1 / item.total[0]));
        return;
    }
    float inverse[kColumns];
    for (int i = 0; i < item.count; ++i) inverse[i] = float(1 / item.total[i]);
    for (std::int64_t c = 0; c < shape_.extent; ++c) {
        float* const row = y + c * shape_.inner;
        loops_.binary_of(Opcode::mul)(row, row, inverse, item.count);
    }
}

void SoftmaxRows::run(const float* x, float* y, int threads) const {
    split(items(), threads_for(cost(), threads), [&](std::int64_t from, std::int64_t to) {
        Item item;
        for (std::int64_t i = from; i < to; ++i) {
            reduce(x, y, i, item);
            divide(y, item);
        }
    });
}

}  // namespace graphc
