// "expr": y = program(x0, x1, ...), element by element.

#include "kernels/expr.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "error.h"
#include "kernels/split.h"
#include "rng/stream.h"

namespace graphc {

namespace {

Blocks blocks_of(const Problem& problem) {
    if (problem.writes.empty()) throw Error("GC-A001", "expr makes nothing");
    const Spec& whole = problem.writes[0];
    const auto& starts = problem.attrs.integers("starts");
    if (starts.size() != problem.reads.size()) {
        throw Error("GC-A001", "expr has " + std::to_string(problem.reads.size()) +
                                   " operands and " + std::to_string(starts.size()) + " starts");
    }
    std::vector<Steps> operands;
    for (std::size_t i = 0; i < starts.size(); ++i) {
        if (starts[i] < -1 || starts[i] > kMaxRank || problem.reads[i].dtype == DType::i64) {
            throw Error("GC-A001", "expr cannot read its operand " + std::to_string(i));
        }
        operands.push_back(steps_of(problem.reads[i], int(starts[i]), whole, true));
    }
    for (auto result = problem.writes.rbegin(); result != problem.writes.rend(); ++result) {
        if (result->dtype == DType::i64) throw Error("GC-A001", "expr writes no int64");
        operands.push_back(steps_of(*result, -1, whole, false));
    }
    return Blocks(whole, std::move(operands), problem.attrs.has("layer"));
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

template <class T>
void scatter(char* target, const float* values, std::int64_t rows, std::int64_t row_step,
             std::int64_t columns, std::int64_t column_step) {
    T* to = reinterpret_cast<T*>(target);
    for (std::int64_t r = 0; r < rows; ++r, to += row_step, values += columns) {
        for (std::int64_t c = 0; c < columns; ++c) to[c * column_step] = T(values[c]);
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

double cost_of(int opcode) {
    const bool is_slow = opcode >= int(Opcode::sqrt) && opcode <= int(Opcode::tanh);
    return opcode == int(Opcode::pow) ? 3 : is_slow ? 0.25 : 0.05;
}

}  // namespace

struct Expr::State {
    alignas(64) float registers[kRegisters][Blocks::kSize];
    float* slots[Blocks::kOperands + 2 * kRegisters];
    // What each operand's register was last loaded from, and how many rows and columns of it.
    struct Loaded {
        const char* source;
        std::int64_t rows, columns;
    } loaded[Blocks::kOperands];
};

Expr::Expr(const Problem& problem, const Spans& loops)
    : loops_(loops),
      reads_(int(problem.reads.size())),
      results_(int(problem.writes.size())),
      blocks_(blocks_of(problem)) {
    for (const double value : problem.attrs.reals("constants")) constants_.push_back(float(value));
    draws_ = problem.attrs.has("layer");
    if (draws_) {
        layer_ = std::uint32_t(problem.attrs.integer("layer"));
        rng::check_range(0, blocks_.size());
    }
    if (constants_.size() > std::size_t(kRegisters)) {
        throw Error("GC-A001", "expr has too many constants");
    }
    for (int i = 0; i < reads_; ++i) {
        registers_.push_back(blocks_.is_dense(i) ? -1 : take_register());
    }
    for (std::size_t i = 0; i < constants_.size() + (draws_ ? 1 : 0); ++i) {
        registers_.push_back(take_register());
    }
    decode(problem.attrs.integers("code"), int(problem.writes.size()));
    cost_ = draws_ ? 1 : 0.1;
    for (const Instruction& each : code_) cost_ += cost_of(each.opcode);
}

int Expr::take_register() {
    if (registers_used_ == kRegisters) throw Error("GC-A001", "expr needs too many registers");
    return registers_used_++;
}

void Expr::check_source(std::int64_t slot, const std::vector<bool>& is_made) const {
    if (slot < 0 || slot >= std::int64_t(is_made.size()) || !is_made[std::size_t(slot)]) {
        throw Error("GC-A001", "expr reads slot " + std::to_string(slot) + ", which holds nothing");
    }
}

void Expr::decode(const std::vector<std::int64_t>& code, int results) {
    std::vector<bool> is_made(registers_.size(), true), is_written(std::size_t(results), false);
    const std::size_t given = registers_.size();
    for (std::size_t at = 0; at < code.size();) {
        const bool is_known = code[at] >= 0 && code[at] < kOpcodes;
        const std::size_t count = is_known ? std::size_t(source_count(int(code[at]))) : 0;
        if (!is_known || at + 2 + count > code.size()) {
            throw Error("GC-A001", "expr has a program that breaks off at " + std::to_string(at));
        }
        Instruction made{int(code[at]), 0, {}};
        const std::int64_t target = code[at + 1];
        for (std::size_t i = 0; i < count; ++i) {
            check_source(code[at + 2 + i], is_made);
            made.sources[i] = int(code[at + 2 + i]);
        }
        if (target >= std::int64_t(given) && target < std::int64_t(given) + kRegisters) {
            for (; registers_.size() <= std::size_t(target); is_made.push_back(false)) {
                registers_.push_back(take_register());
            }
            is_made[std::size_t(target)] = true;
            made.target = int(target);
        } else if (target < 0 && target >= -results && !is_written[std::size_t(-1 - target)]) {
            is_written[std::size_t(-1 - target)] = true;
            made.target = int(target);
        } else {
            throw Error("GC-A001", "expr writes slot " + std::to_string(target));
        }
        code_.push_back(made);
        at += 2 + count;
    }
    if (std::find(is_written.begin(), is_written.end(), false) != is_written.end()) {
        throw Error("GC-A001", "expr leaves a result unwritten");
    }
    // Results follow the registers; those that are no runs of floats go through a register.
    const int first = int(registers_.size());
    for (Instruction& each : code_) {
        if (each.target < 0) each.target = first - 1 - each.target;
    }
    for (int k = 0; k < results; ++k) {
        const bool is_dense = blocks_.is_dense(reads_ + results - 1 - k);
        registers_.push_back(is_dense ? -1 : take_register());
    }
    slots_ = int(registers_.size());
}

void Expr::load(State& state, int operand, const char* source, std::int64_t rows,
                std::int64_t columns) const {
    auto& loaded = state.loaded[operand];
    const bool is_same =
        loaded.source == source && loaded.rows >= rows && loaded.columns >= columns;
    if (is_same && (rows == 1 || loaded.columns == columns)) return;
    loaded = {source, rows, columns};
    float* const out = state.slots[operand];
    const std::int64_t row_step = blocks_.row_step(operand);
    const std::int64_t column_step = blocks_.column_step(operand);
    const DType dtype = blocks_.dtype(operand);
    const auto run = dtype == DType::u8    ? gather<std::uint8_t>
                     : dtype == DType::i32 ? gather<std::int32_t>
                                           : gather<float>;
    run(out, source, rows, row_step, columns, column_step);
}

void Expr::execute(float* const* slots, std::int64_t n) const {
    for (const Instruction& each : code_) {
        const int opcode = each.opcode;
        float* const out = slots[each.target];
        const auto source = [&](int i) -> const float* { return slots[each.sources[i]]; };
        switch (source_count(opcode)) {
            case 1:
                loops_.unary[opcode](out, source(0), n);
                break;
            case 2:
                loops_.binary[opcode - kUnary](out, source(0), source(1), n);
                break;
            case 3:
                loops_.ternary[opcode - kUnary - kBinary](out, source(0), source(1), source(2), n);
                break;
            default:
                loops_.quaternary[opcode - kUnary - kBinary - kTernary](out, source(0), source(1),
                                                                        source(2), source(3), n);
        }
    }
}

void Expr::run_part(const char* const* reads, char* const* writes, const Run& run,
                    std::int64_t from, std::int64_t to) const {
    State state;
    for (int i = 0; i < slots_; ++i) {
        state.slots[i] = registers_[i] < 0 ? nullptr : state.registers[registers_[i]];
    }
    for (int i = 0; i < reads_; ++i) state.loaded[i] = {nullptr, 0, 0};
    for (std::size_t i = 0; i < constants_.size(); ++i) {
        std::fill_n(state.slots[std::size_t(reads_) + i], Blocks::kSize, constants_[i]);
    }
    const int draw = reads_ + int(constants_.size());
    const rng::Stream stream{run.seed, run.step, layer_, 0};
    blocks_.walk(
        from, to,
        [&](const std::int64_t* offsets, std::int64_t rows, std::int64_t columns,
            std::int64_t first) {
            const auto address = [&](const char* base, int operand) {
                return base + offsets[operand] * item_size(blocks_.dtype(operand));
            };
            for (int i = 0; i < reads_; ++i) {
                const char* const source = address(reads[i], i);
                if (registers_[i] < 0) {
                    state.slots[i] = reinterpret_cast<float*>(const_cast<char*>(source));
                } else {
                    load(state, i, source, rows, columns);
                }
            }
            if (draws_) fill(loops_, stream, first, rows * columns, state.slots[draw]);
            for (int k = 0; k < results_; ++k) {
                const int slot = slots_ - results_ + k;
                if (registers_[slot] >= 0) continue;
                const char* const target = address(writes[k], reads_ + results_ - 1 - k);
                state.slots[slot] = reinterpret_cast<float*>(const_cast<char*>(target));
            }
            execute(state.slots, rows * columns);
            for (int k = 0; k < results_; ++k) {
                const int slot = slots_ - results_ + k, operand = reads_ + results_ - 1 - k;
                if (registers_[slot] < 0) continue;
                const DType dtype = blocks_.dtype(operand);
                const auto put = dtype == DType::u8    ? scatter<std::uint8_t>
                                 : dtype == DType::i32 ? scatter<std::int32_t>
                                                       : scatter<float>;
                put(const_cast<char*>(address(writes[k], operand)), state.slots[slot], rows,
                    blocks_.row_step(operand), columns, blocks_.column_step(operand));
            }
        });
}

void Expr::run(const char* const* reads, char* const* writes, const Run& run) const {
    const int threads = threads_for(cost_ * double(blocks_.size()), run.threads);
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
