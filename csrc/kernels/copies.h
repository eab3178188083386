// Copies: the base of kernels that move elements and compute nothing.
#pragma once

#include <string>
#include <vector>

#include "core/kernel.h"
#include "kernels/strided_copy.h"

namespace graphc {

class Copies : public Kernel {
  public:
    void run(const Run& run) const override {
        for (const Move& move : moves_) {
            move.copy.run(run.reads[move.read] + move.from, run.writes[move.write] + move.to,
                          run.threads);
        }
    }

  protected:
    // One read (or piece of it) that goes into one write; `from` and `to` in bytes.
    struct Move {
        int read, write;
        Index from, to;
        StridedCopy copy;
    };

    std::vector<Move> moves_;
};

// Throws Error (GC-A001) unless there are as many operands as the kernel called `name` takes;
// -1: at least one.
void check_operands(const Problem& problem, const std::string& name, int reads, int writes);

// Throws Error (GC-A001) unless both have one element type, and one shape but for axis `except`.
void check_alike(const Spec& a, const Spec& b, const std::string& name, int except = -1);

// The walk over the elements of `shape` (one of the two) from one tensor into another.
Walk walk_of(const Spec& shape, const Spec& from, const Spec& to);

}  // namespace graphc
