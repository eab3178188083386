// "expr": y = program(x0, x1, ...), element by element.

#include "kernels/expr.h"

#include <algorithm>
#include <string>

#include "error.h"
#include "kernels/accumulate.h"
#include "kernels/split.h"
#include "rng/stream.h"

namespace graphc {

namespace {

// A number per channel of a result (N, C / B, ..., B).
Steps blocked_steps_of(const Spec& row, const Spec& whole) {
    const int last = whole.rank - 1;
    if (row.rank != 1 || whole.rank < 3 || row.dims[0] != whole.dims[1] * whole.dims[last]) {
        throw Error("GC-A001", "an operand does not lie along the result's blocks of channels");
    }
    Steps steps;
    steps.dtype = row.dtype;
    steps.along[1] = row.strides[0] * whole.dims[last];
    steps.along[last] = row.strides[0];
    return steps;
}

Blocks blocks_of(const Problem& problem, int reads) {
    if (problem.writes.empty()) throw Error("GC-A001", "expr makes nothing");
    const Spec& whole = problem.writes[0];
    const auto& starts = problem.attrs.integers("starts");
    if (starts.size() != std::size_t(reads)) {
        throw Error("GC-A001", "expr has " + std::to_string(reads) + " operands and " +
                                   std::to_string(starts.size()) + " starts");
    }
    std::vector<Steps> operands;
    for (std::size_t i = 0; i < starts.size(); ++i) {
        if (starts[i] < -2 || starts[i] > kMaxRank || problem.reads[i].dtype == DType::i64) {
            throw Error("GC-A001", "expr cannot read its operand " + std::to_string(i));
        }
        operands.push_back(starts[i] == -2
                               ? blocked_steps_of(problem.reads[i], whole)
                               : steps_of(problem.reads[i], int(starts[i]), whole, true));
    }
    for (auto result = problem.writes.rbegin(); result != problem.writes.rend(); ++result) {
        if (result->dtype == DType::i64) throw Error("GC-A001", "expr writes no int64");
        operands.push_back(steps_of(*result, -1, whole, false));
    }
    return Blocks(whole, std::move(operands), problem.attrs.has("layer"));
}

ExprProgram program_of(const Problem& problem, const Blocks& blocks, int reads, bool adds,
                       const Spans& loops) {
    std::vector<bool> operands, results;
    for (int i = 0; i < reads; ++i) operands.push_back(blocks.is_dense(i));
    for (int k = int(problem.writes.size()); k-- > 0;) {
        results.push_back(blocks.is_dense(reads + k) && !adds);
    }
    return ExprProgram(problem.attrs, operands, results, loops);
}

template <class T>
void gather(float* out, const char* source, std::int64_t rows, std::int64_t row_step,
            std::int64_t columns, std::int64_t column_step) {
    const T* from = reinterpret_cast<const T*>(source);
    for (std::int64_t r = 0; r < rows; ++r, from += row_step, out += columns) {
        if (column_step == 0) {
            std::fill(out, out + columns, float(*from));
        } else {
            for (std::int64_t c = 0; c < columns; ++c) out[c] = float(from[c * column_step]);
        }
    }
}

template <class T, bool kAdds>
void scatter(char* target, const float* values, std::int64_t rows, std::int64_t row_step,
             std::int64_t columns, std::int64_t column_step) {
    T* to = reinterpret_cast<T*>(target);
    for (std::int64_t r = 0; r < rows; ++r, to += row_step, values += columns) {
        for (std::int64_t c = 0; c < columns; ++c) {
            T& element = to[c * column_step];
            element = T(kAdds ? float(element) + values[c] : values[c]);
        }
    }
}

// Elements first .. first + count - 1 of a stream.
void fill(const Spans& loops, const rng::Stream& stream, std::int64_t first, std::int64_t count,
          float* out) {
    const std::int64_t head = std::min(count, (4 - first % 4) % 4);
    const std::int64_t blocks = (count - head) / 4, tail = head + 4 * blocks;
    rng::fill_uniform(stream, first, head, out);
    loops.draw(out + head, stream, std::uint32_t((first + head) / 4), blocks);
    rng::fill_uniform(stream, first + tail, count - tail, out + tail);
}

}  // namespace

struct Expr::State {
    ExprProgram::State program;
    // What each operand's register was last loaded from, and how many rows and columns of it.
    struct Loaded {
        const char* source;
        std::int64_t rows, columns;
    } loaded[Blocks::kOperands];
};

Expr::Expr(const Problem& problem, const Spans& loops)
    : loops_(loops),
      adds_(accumulates(problem, "expr")),
      reads_(int(problem.reads.size()) - (adds_ ? 1 : 0)),
      results_(int(problem.writes.size())),
      blocks_(blocks_of(problem, reads_)),
      program_(program_of(problem, blocks_, reads_, adds_, loops)) {
    if (program_.draws()) {
        layer_ = std::uint32_t(problem.attrs.integer("layer"));
        first_ = problem.attrs.has("first") ? problem.attrs.integer("first") : 0;
        rng::check_range(first_, blocks_.size());
    }
}

void Expr::load(State& state, int operand, const char* source, std::int64_t rows,
                std::int64_t columns) const {
    auto& loaded = state.loaded[operand];
    const bool is_same =
        loaded.source == source && loaded.rows >= rows && loaded.columns >= columns;
    if (is_same && (rows == 1 || loaded.columns == columns)) return;
    loaded = {source, rows, columns};
    float* const out = state.program.slots[operand];
    const std::int64_t row_step = blocks_.row_step(operand);
    const std::int64_t column_step = blocks_.column_step(operand);
    const DType dtype = blocks_.dtype(operand);
    const auto run = dtype == DType::u8    ? gather<std::uint8_t>
                     : dtype == DType::i32 ? gather<std::int32_t>
                                           : gather<float>;
    run(out, source, rows, row_step, columns, column_step);
}

void Expr::put(const State& state, int result, char* target, std::int64_t rows,
               std::int64_t columns) const {
    const float* const values = state.program.slots[program_.result(result)];
    const int operand = operand_of(result);
    if (adds_ && blocks_.is_dense(operand)) {
        float* const to = reinterpret_cast<float*>(target);
        loops_.binary_of(Opcode::add)(to, to, values, rows * columns);
        return;
    }
    const DType dtype = blocks_.dtype(operand);
    const auto run = adds_                 ? scatter<float, true>
                     : dtype == DType::u8  ? scatter<std::uint8_t, false>
                     : dtype == DType::i32 ? scatter<std::int32_t, false>
                                           : scatter<float, false>;
    run(target, values, rows, blocks_.row_step(operand), columns, blocks_.column_step(operand));
}

void Expr::run_part(const char* const* reads, char* const* writes, const Run& run,
                    std::int64_t from, std::int64_t to) const {
    State state;
    float** const slots = state.program.slots;
    program_.start(state.program);
    for (int i = 0; i < reads_; ++i) state.loaded[i] = {nullptr, 0, 0};
    const rng::Stream stream{run.seed, run.step, layer_, 0};
    blocks_.walk(from, to,
                 [&](const std::int64_t* offsets, std::int64_t rows, std::int64_t columns,
                     std::int64_t first) {
                     const auto address = [&](const char* base, int operand) {
                         return base + offsets[operand] * item_size(blocks_.dtype(operand));
                     };
                     for (int i = 0; i < reads_; ++i) {
                         const char* const source = address(reads[i], i);
                         if (program_.is_memory(i)) {
                             slots[i] = reinterpret_cast<float*>(const_cast<char*>(source));
                         } else {
                             load(state, i, source, rows, columns);
                         }
                     }
                     if (program_.draws()) {
                         fill(loops_, stream, first_ + first, rows * columns,
                              slots[program_.draw()]);
                     }
                     const auto target = [&](int k) {
                         return const_cast<char*>(address(writes[k], operand_of(k)));
                     };
                     for (int k = 0; k < results_; ++k) {
                         const int slot = program_.result(k);
                         if (program_.is_memory(slot)) {
                             slots[slot] = reinterpret_cast<float*>(target(k));
                         }
                     }
                     program_.execute(slots, rows * columns);
                     for (int k = 0; k < results_; ++k) {
                         if (!program_.is_memory(program_.result(k))) {
                             put(state, k, target(k), rows, columns);
                         }
                     }
                 });
}

void Expr::run(const char* const* reads, char* const* writes, const Run& run) const {
    const int threads = threads_for(program_.cost() * double(blocks_.size()), run.threads);
    split(blocks_.count(), threads,
          [&](std::int64_t from, std::int64_t to) { run_part(reads, writes, run, from, to); });
}

namespace {

class ExprKernel final : public Kernel {
  public:
    explicit ExprKernel(const Problem& problem) : expr_(problem) {}
    void run(const Run& run) const override { expr_.run(run.reads, run.writes, run); }

  private:
    Expr expr_;
};

GRAPHC_KERNEL("expr", ExprKernel)

}  // namespace

}  // namespace graphc
