// Expr: a small register program, run over tensors block by block. It is how every elementwise
// layer is computed; graphc/ops/_program.py makes the programs from scalar expressions.
#pragma once

#include <cstdint>
#include <vector>

#include "core/kernel.h"
#include "kernels/blocks.h"
#include "kernels/spans.h"

namespace graphc {

class Expr {
  public:
    // The parameters of a program, all of whose slots hold a block of floats:
    // `code`: instructions opcode, target, sources; sources are slots, first the operands, then the
    //     constants, the draw if there is one, then registers. A target is a register's slot, or
    //     -1 - k for result k; results are written after everything has been read.
    // `constants`; `starts`: by operand, the axis of the result at which it starts, -1: has all;
    //     an operand's axis of one element repeats it.
    // `layer`, only if there is a draw: the random stream's word of the layer.
    // Throws Error (GC-A001) for a program that is not sound.
    Expr(const Problem& problem, const Spans& loops = spans());

    void run(const char* const* reads, char* const* writes, const Run& run) const;

  private:
    static constexpr int kRegisters = 40;

    struct Instruction {
        int opcode;
        int target;
        int sources[4];
    };
    struct State;

    void decode(const std::vector<std::int64_t>& code, int results);
    void check_source(std::int64_t slot, const std::vector<bool>& is_made) const;
    int take_register();
    void run_part(const char* const* reads, char* const* writes, const Run& run, std::int64_t from,
                  std::int64_t to) const;
    void load(State& state, int operand, const char* source, std::int64_t rows,
              std::int64_t columns) const;
    void execute(float* const* slots, std::int64_t n) const;

    const Spans& loops_;
    int reads_, results_;
    Blocks blocks_;
    std::vector<float> constants_;
    bool draws_ = false;
    std::uint32_t layer_ = 0;
    int slots_ = 0;
    std::vector<Instruction> code_;
    // By slot: the register that holds it, -1 if it is memory of an operand.
    std::vector<int> registers_;
    int registers_used_ = 0;
    double cost_ = 0;  // nanoseconds per element, roughly
};

}  // namespace graphc
