// Blocks: how an elementwise loop walks over tensors of any strides, a few hundred elements at a
// time. Axes that all operands cross alike are joined first, so that dense tensors are one run.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace graphc {

// An operand's steps along the axes of the result; 0 along those that it does not have.
struct Steps {
    DType dtype = DType::f32;
    std::array<std::int64_t, kMaxRank> along{};
};

// `operand` lies along the axes of `whole` from `start` on (-1: along all of them); `repeats`:
// where it has one element, that counts all along the axis. Throws Error (GC-A001) if it does not
// fit.
Steps steps_of(const Spec& operand, int start, const Spec& whole, bool repeats);

class Blocks {
  public:
    static constexpr int kSize = 512;  // elements of a block at most
    static constexpr int kOperands = 320;

    // `operands`: those of the loop, the results among them; `has_order`: axes keep their order, so
    // that a block's elements are numbered consecutively.
    Blocks(const Spec& whole, std::vector<Steps> operands, bool has_order);

    std::int64_t count() const { return rows_ * groups_; }
    std::int64_t size() const { return size_; }
    // Are an operand's elements of a block consecutive floats? Else, element (r, c) of a block lies
    // r * row_step + c * column_step after the first.
    bool is_dense(int operand) const;
    std::int64_t row_step(int operand) const { return steps_[operand][rank_ - 2]; }
    std::int64_t column_step(int operand) const { return steps_[operand][rank_ - 1]; }
    DType dtype(int operand) const { return dtypes_[operand]; }

    // Calls body(offsets, rows, columns, first) for the blocks from .. to - 1: `offsets` in
    // elements, by operand; `first` the number of the block's first element.
    template <class Body>
    void walk(std::int64_t from, std::int64_t to, const Body& body) const {
        std::array<std::int64_t, kOperands> offsets;
        std::array<std::int64_t, kMaxRank + 2> at{};
        std::int64_t row = from / groups_, group = from % groups_;
        for (int axis = fast_ - 1; axis >= 0; --axis) {
            at[axis] = row % extents_[axis];
            row /= extents_[axis];
        }
        for (; from < to; ++from) {
            const std::int64_t start = group * step_;
            const std::int64_t left = extents_[fast_] - start;
            const std::int64_t count = left < step_ ? left : step_;
            at[fast_] = start;
            locate(at, offsets);
            body(offsets.data(), is_tall_ ? count : 1, is_tall_ ? extents_[rank_ - 1] : count,
                 number(at));
            if (++group < groups_) continue;
            group = 0;
            for (int axis = fast_ - 1; axis >= 0 && ++at[axis] == extents_[axis]; --axis) {
                at[axis] = 0;
            }
        }
    }

  private:
    using Axes = std::array<std::int64_t, kMaxRank + 2>;

    void locate(const Axes& at, std::array<std::int64_t, kOperands>& offsets) const {
        for (std::size_t i = 0; i < steps_.size(); ++i) {
            std::int64_t offset = 0;
            for (int axis = 0; axis <= fast_; ++axis) offset += at[axis] * steps_[i][axis];
            offsets[i] = offset;
        }
    }
    std::int64_t number(const Axes& at) const {
        std::int64_t first = 0;
        for (int axis = 0; axis < rank_; ++axis) {
            first = first * extents_[axis] + (axis <= fast_ ? at[axis] : 0);
        }
        return first;
    }
    void append(std::int64_t extent, const std::vector<std::int64_t>& steps);

    // At least two axes; the first ones of extent 1 if there are not as many.
    int rank_ = 0;
    Axes extents_{};
    std::vector<Axes> steps_;  // by operand
    std::vector<DType> dtypes_;
    // A block is `step_` elements of the last axis, or, if that is short, whole rows of it.
    bool is_tall_ = false;
    int fast_ = 0;  // the axis along which blocks follow each other
    std::int64_t step_ = 1, groups_ = 1, rows_ = 1, size_ = 0;
};

}  // namespace graphc
