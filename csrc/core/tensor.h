// Tensor: how a kernel sees an operand. Addresses come from the plan; nothing here owns memory.
#pragma once

#include <array>
#include <cstdint>

namespace graphc {

constexpr int kMaxRank = 8;

enum class DType : std::uint8_t { f32, i64, i32, u8 };

// Bytes of one element.
constexpr int item_size(DType dtype) {
    return dtype == DType::i64 ? 8 : dtype == DType::u8 ? 1 : 4;
}

// Shape and strides are in elements; strides[rank-1] is 1 unless the tensor is a strided view.
struct Spec {
    DType dtype = DType::f32;
    int rank = 0;
    std::array<std::int64_t, kMaxRank> dims{};
    std::array<std::int64_t, kMaxRank> strides{};

    std::int64_t size() const {
        std::int64_t n = 1;
        for (int i = 0; i < rank; ++i) n *= dims[i];
        return n;
    }
    // Product of the dims from `start` up to `stop` (exclusive).
    std::int64_t count(int start, int stop) const {
        std::int64_t n = 1;
        for (int i = start; i < stop; ++i) n *= dims[i];
        return n;
    }
    bool contiguous() const {
        if (size() == 0) return true;
        std::int64_t expected = 1;
        for (int i = rank - 1; i >= 0; --i) {
            if (dims[i] != 1 && strides[i] != expected) return false;
            expected *= dims[i];
        }
        return true;
    }
};

}  // namespace graphc
