#include "kernels/expr_program.h"

#include <algorithm>
#include <string>

#include "error.h"

namespace graphc {

namespace {

double cost_of(int opcode) {
    const bool is_slow = opcode >= int(Opcode::sqrt) && opcode <= int(Opcode::tanh);
    return opcode == int(Opcode::pow) ? 3 : is_slow ? 0.25 : 0.05;
}

}  // namespace

ExprProgram::ExprProgram(const Attrs& attrs, const std::vector<bool>& operands,
                         const std::vector<bool>& results, const Spans& loops)
    : loops_(loops), operands_(int(operands.size())), results_(int(results.size())) {
    for (const double value : attrs.reals("constants")) constants_.push_back(float(value));
    draws_ = attrs.has("layer");
    if (constants_.size() > std::size_t(kRegisters)) {
        throw Error("GC-A001", "expr has too many constants");
    }
    for (const bool is_memory : operands) {
        registers_.push_back(is_memory ? -1 : take_register());
    }
    for (std::size_t i = 0; i < constants_.size() + (draws_ ? 1 : 0); ++i) {
        registers_.push_back(take_register());
    }
    decode(attrs.integers("code"));
    // Results follow the registers; those that are no runs of floats go through a register.
    const int first = int(registers_.size());
    for (Instruction& each : code_) {
        if (each.target < 0) each.target = first - 1 - each.target;
    }
    for (const bool is_memory : results) registers_.push_back(is_memory ? -1 : take_register());
    slots_ = int(registers_.size());
    cost_ = draws_ ? 1 : 0.1;
    for (const Instruction& each : code_) cost_ += cost_of(each.opcode);
}

int ExprProgram::take_register() {
    if (registers_used_ == kRegisters) throw Error("GC-A001", "expr needs too many registers");
    return registers_used_++;
}

void ExprProgram::check_source(std::int64_t slot, const std::vector<bool>& is_made) const {
    if (slot < 0 || slot >= std::int64_t(is_made.size()) || !is_made[std::size_t(slot)]) {
        throw Error("GC-A001", "expr reads slot " + std::to_string(slot) + ", which holds nothing");
    }
}

void ExprProgram::decode(const std::vector<std::int64_t>& code) {
    std::vector<bool> is_made(registers_.size(), true), is_written(std::size_t(results_), false);
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
        } else if (target < 0 && target >= -results_ && !is_written[std::size_t(-1 - target)]) {
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
}

void ExprProgram::start(State& state) const {
    for (int i = 0; i < slots_; ++i) {
        state.slots[i] = is_memory(i) ? nullptr : state.registers[registers_[i]];
    }
    for (std::size_t i = 0; i < constants_.size(); ++i) {
        std::fill_n(state.slots[std::size_t(operands_) + i], Blocks::kSize, constants_[i]);
    }
}

void ExprProgram::execute(float* const* slots, std::int64_t n) const {
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

}  // namespace graphc
