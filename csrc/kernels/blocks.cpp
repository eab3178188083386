#include "kernels/blocks.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "error.h"

namespace graphc {

Steps steps_of(const Spec& operand, int start, const Spec& whole, bool repeats) {
    const int first = start < 0 ? 0 : start;
    bool fits = start < 0 ? operand.rank == whole.rank : start + operand.rank <= whole.rank;
    for (int i = 0; fits && i < operand.rank; ++i) {
        fits = operand.dims[i] == whole.dims[first + i] || (repeats && operand.dims[i] == 1);
    }
    if (!fits) {
        throw Error("GC-A001", "an operand does not lie along the result's axes from " +
                                   std::to_string(first) + " on");
    }
    Steps steps;
    steps.dtype = operand.dtype;
    for (int i = 0; i < operand.rank; ++i) {
        const bool is_one = operand.dims[i] == 1 && whole.dims[first + i] != 1;
        steps.along[first + i] = is_one ? 0 : operand.strides[i];
    }
    return steps;
}

Blocks::Blocks(const Spec& whole, std::vector<Steps> operands, bool has_order)
    : size_(whole.size()) {
    if (operands.empty() || operands.size() > std::size_t(kOperands)) {
        throw Error("GC-A001", "an elementwise loop over " + std::to_string(operands.size()) +
                                   " operands; 1 to " + std::to_string(kOperands) +
                                   " are possible");
    }
    steps_.resize(operands.size());
    for (const Steps& each : operands) dtypes_.push_back(each.dtype);
    std::array<int, kMaxRank> order{};
    std::iota(order.begin(), order.end(), 0);
    const auto& result = operands.back().along;
    if (!has_order) {  // the result's innermost axis last, whatever its layout
        std::stable_sort(order.begin(), order.begin() + whole.rank,
                         [&](int a, int b) { return result[a] > result[b]; });
    }
    std::vector<std::int64_t> steps(operands.size());
    for (int i = 0; i < whole.rank; ++i) {
        const int axis = order[i];
        if (whole.dims[axis] == 1) continue;
        std::transform(operands.begin(), operands.end(), steps.begin(),
                       [axis](const Steps& each) { return each.along[axis]; });
        append(whole.dims[axis], steps);
    }
    for (; rank_ < 2; ++rank_) {
        std::rotate(extents_.begin(), extents_.end() - 1, extents_.end());
        extents_[0] = 1;
        for (Axes& each : steps_) {
            std::rotate(each.begin(), each.end() - 1, each.end());
            each[0] = 0;
        }
    }
    const std::int64_t inner = extents_[rank_ - 1];
    is_tall_ = inner > 0 && inner <= kSize / 4 && extents_[rank_ - 2] > 1;
    fast_ = is_tall_ ? rank_ - 2 : rank_ - 1;
    step_ = is_tall_ ? kSize / inner : kSize;
    groups_ = std::max<std::int64_t>(1, (extents_[fast_] + step_ - 1) / step_);
    rows_ = size_ > 0 ? 1 : 0;
    for (int axis = 0; axis < fast_; ++axis) rows_ *= extents_[axis];
}

void Blocks::append(std::int64_t extent, const std::vector<std::int64_t>& steps) {
    bool joins = rank_ > 0;
    for (std::size_t i = 0; joins && i < steps.size(); ++i) {
        joins = steps_[i][rank_ - 1] == steps[i] * extent;
    }
    if (joins) {
        extents_[rank_ - 1] *= extent;
    } else {
        extents_[rank_++] = extent;
    }
    for (std::size_t i = 0; i < steps.size(); ++i) steps_[i][rank_ - 1] = steps[i];
}

bool Blocks::is_dense(int operand) const {
    const bool is_run = column_step(operand) == 1 || extents_[rank_ - 1] == 1;
    const bool has_runs = !is_tall_ || row_step(operand) == extents_[rank_ - 1];
    return dtypes_[operand] == DType::f32 && is_run && has_runs;
}

}  // namespace graphc
