// "copy": the elements of one tensor into another of the same shape, whatever the strides.

#include <cstring>

#include "core/kernel.h"
#include "error.h"

namespace graphc {

namespace {

std::size_t item_bytes(DType dtype) { return dtype == DType::i64 ? 8 : dtype == DType::u8 ? 1 : 4; }

class Copy final : public Kernel {
  public:
    explicit Copy(const Problem& problem) {
        if (problem.reads.size() != 1 || problem.writes.size() != 1) {
            throw Error("GC-A001", "copy takes one operand and makes one");
        }
        const Spec& from = problem.reads[0];
        const Spec& to = problem.writes[0];
        bool is_same = from.dtype == to.dtype && from.rank == to.rank;
        for (int i = 0; is_same && i < from.rank; ++i) is_same = from.dims[i] == to.dims[i];
        if (!is_same) throw Error("GC-A001", "copy needs operands of one shape and element type");
        item_ = item_bytes(from.dtype);
        empty_ = from.size() == 0;
        for (int i = 0; i < from.rank; ++i) append(from.dims[i], from.strides[i], to.strides[i]);
        const bool has_run = rank_ > 0 && dims_[rank_ - 1].from == 1 && dims_[rank_ - 1].to == 1;
        run_ = has_run ? dims_[--rank_].size : 1;
        for (int i = 0; i < rank_; ++i) rows_ *= dims_[i].size;
    }

    void run(const Run& run) const override {
        if (empty_) return;
        const std::size_t bytes = std::size_t(run_) * item_;
        const bool is_large = rows_ > 1 && rows_ * std::int64_t(bytes) > (1 << 16);
        const int threads = is_large ? run.threads : 1;
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
        for (std::int64_t row = 0; row < rows_; ++row) {
            std::int64_t from = 0, to = 0, rest = row;
            for (int i = rank_ - 1; i >= 0; --i) {
                const std::int64_t at = rest % dims_[i].size;
                rest /= dims_[i].size;
                from += at * dims_[i].from;
                to += at * dims_[i].to;
            }
            std::memcpy(run.writes[0] + to * std::int64_t(item_),
                        run.reads[0] + from * std::int64_t(item_), bytes);
        }
    }

  private:
    struct Axis {
        std::int64_t size, from, to;
    };

    // Takes up an axis, joined to the one before where both sides run on without a gap.
    void append(std::int64_t size, std::int64_t from, std::int64_t to) {
        if (size == 1) return;
        if (rank_ > 0) {
            Axis& last = dims_[rank_ - 1];
            if (last.from == size * from && last.to == size * to) {
                last = {last.size * size, from, to};
                return;
            }
        }
        dims_[rank_++] = {size, from, to};
    }

    Axis dims_[kMaxRank] = {};
    int rank_ = 0;
    std::int64_t run_ = 1, rows_ = 1;
    std::size_t item_ = 1;
    bool empty_ = false;
};

GRAPHC_KERNEL("copy", Copy)

}  // namespace

}  // namespace graphc
