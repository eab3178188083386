// ExprProgram: the register program of an elementwise layer. graphc/ops/_program.py makes them from
// scalar expressions; every slot of one holds a block of floats.
#pragma once

#include <cstdint>
#include <vector>

#include "core/attrs.h"
#include "kernels/blocks.h"
#include "kernels/spans.h"

namespace graphc {

class ExprProgram {
  public:
    static constexpr int kRegisters = 40;

    // Where slots lie while a block is computed.
    struct State {
        alignas(64) float registers[kRegisters][Blocks::kSize];
        float* slots[Blocks::kOperands + 2 * kRegisters];
    };

    // Parameters:
    // `code`: instructions opcode, target, sources; sources are slots, first the operands, then the
    //     constants, the draw if there is one, then registers. A target is a register's slot, or
    //     -1 - k for result k; results are written after everything has been read.
    // `constants`; `layer`, only if there is a draw: the random stream's word of the layer.
    // `operands`, `results`: is each a run of floats in memory? Else it has a register.
    // Throws Error (GC-A001) for a program that is not sound.
    ExprProgram(const Attrs& attrs, const std::vector<bool>& operands,
                const std::vector<bool>& results, const Spans& loops);

    // Points slots at their registers, and fills in the constants.
    void start(State& state) const;
    void execute(float* const* slots, std::int64_t n) const;

    bool draws() const { return draws_; }
    int draw() const { return operands_ + int(constants_.size()); }
    int result(int k) const { return slots_ - results_ + k; }
    bool is_memory(int slot) const { return registers_[slot] < 0; }
    double cost() const { return cost_; }  // nanoseconds per element, roughly

  private:
    struct Instruction {
        int opcode;
        int target;
        int sources[4];
    };

    void decode(const std::vector<std::int64_t>& code);
    void check_source(std::int64_t slot, const std::vector<bool>& is_made) const;
    int take_register();

    const Spans& loops_;
    int operands_, results_;
    std::vector<float> constants_;
    bool draws_ = false;
    int slots_ = 0;
    std::vector<Instruction> code_;
    // By slot: the register that holds it, -1 if it is memory of an operand.
    std::vector<int> registers_;
    int registers_used_ = 0;
    double cost_ = 0;
};

}  // namespace graphc
