// Expr: a register program, run over tensors block by block. It is how every elementwise layer, and
// the gradient of one, is computed.
#pragma once

#include <cstdint>
#include <vector>

#include "core/kernel.h"
#include "kernels/blocks.h"
#include "kernels/expr_program.h"

namespace graphc {

class Expr {
  public:
    // Parameters beside the program's:
    // `starts`: by operand, the axis of the result at which it starts, -1: has all, -2: it has a
    //     number per channel of a result in blocks of channels, (N, C / B, ..., B); an operand's
    //     axis of one element repeats it.
    // `accumulate`, if true: the one result is added to what is there. The last operand is then
    //     the result itself; neither `starts` nor the program knows of it.
    // Throws Error (GC-A001) for operands that do not fit, or a program that is not sound.
    Expr(const Problem& problem, const Spans& loops = spans());

    void run(const char* const* reads, char* const* writes, const Run& run) const;

  private:
    struct State;

    void run_part(const char* const* reads, char* const* writes, const Run& run, std::int64_t from,
                  std::int64_t to) const;
    void load(State& state, int operand, const char* source, std::int64_t rows,
              std::int64_t columns) const;
    void put(const State& state, int result, char* target, std::int64_t rows,
             std::int64_t columns) const;
    int operand_of(int result) const { return reads_ + results_ - 1 - result; }

    const Spans& loops_;
    bool adds_;
    int reads_, results_;  // reads without what the result is added to
    Blocks blocks_;
    ExprProgram program_;
    std::uint32_t layer_ = 0;
    std::int64_t first_ = 0;  // element of the layer's stream that is this operand's first
};

}  // namespace graphc
