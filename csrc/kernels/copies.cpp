#include "kernels/copies.h"

#include "error.h"

namespace graphc {

void check_operands(const Problem& problem, const std::string& name, int reads, int writes) {
    const auto is_off = [](std::size_t count, int wanted) {
        return wanted < 0 ? count == 0 : count != std::size_t(wanted);
    };
    if (is_off(problem.reads.size(), reads) || is_off(problem.writes.size(), writes)) {
        const auto spell = [](int wanted) {
            return wanted < 0 ? "some" : wanted == 1 ? "one" : std::to_string(wanted);
        };
        throw Error("GC-A001", name + " takes " + spell(reads) + " operand(s) and makes " +
                                   spell(writes) + ", not " + std::to_string(problem.reads.size()) +
                                   " and " + std::to_string(problem.writes.size()));
    }
}

void check_alike(const Spec& a, const Spec& b, const std::string& name, int except) {
    bool is_alike = a.dtype == b.dtype && a.rank == b.rank;
    for (int i = 0; is_alike && i < a.rank; ++i) {
        is_alike = i == except || a.dims[i] == b.dims[i];
    }
    if (!is_alike) {
        throw Error("GC-A001", name + " needs operands of one element type and shape" +
                                   (except < 0 ? "" : " but for axis " + std::to_string(except)));
    }
}

Walk walk_of(const Spec& shape, const Spec& from, const Spec& to) {
    Walk walk = {shape.rank, {}};
    for (int i = 0; i < shape.rank; ++i) {
        walk.axes[i] = {shape.dims[i], from.strides[i], to.strides[i]};
    }
    return walk;
}

}  // namespace graphc
