#include "dnnl/provider.h"

#include <oneapi/dnnl/dnnl.hpp>

#include "core/isa.h"

namespace graphc::onednn {

namespace {

// Binds oneDNN to `wanted`; returns what it really obeys, which is something else if other code of
// this process has used the library before.
Isa bind(Isa wanted) {
    dnnl_set_max_cpu_isa(wanted == Isa::avx512 ? dnnl_cpu_isa_avx512_core : dnnl_cpu_isa_avx2);
    const unsigned bound = dnnl_get_effective_cpu_isa();
    const auto has = [&](unsigned isa) { return (bound & isa) == isa; };
    if (has(dnnl_cpu_isa_avx512_core)) return Isa::avx512;
    return has(dnnl_cpu_isa_avx2) ? Isa::avx2 : Isa::portable;
}

}  // namespace

std::string version() {
    const dnnl_version_t* told = dnnl_version();
    return std::to_string(told->major) + "." + std::to_string(told->minor) + "." +
           std::to_string(told->patch);
}

int channel_block() {
    const Isa chosen = chosen_isa();
    if (chosen == Isa::portable) return 0;
    static const Isa bound = bind(chosen);
    if (chosen != bound) return 0;
    return bound == Isa::avx512 ? 16 : 8;
}

}  // namespace graphc::onednn
