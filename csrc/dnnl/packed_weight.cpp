#include "dnnl/packed_weight.h"

#include "kernels/spatial_options.h"

namespace graphc::onednn {

Call reorder(const Desc& from, const Desc& to, int threads, bool adds) {
    const auto told = made(threads, [&] {
        dnnl::primitive_attr attr = plain_attr();
        if (adds) {
            dnnl::post_ops after;
            after.append_sum();
            attr.set_post_ops(after);
        }
        return dnnl::reorder::primitive_desc(engine(), from, engine(), to, attr);
    });
    return Call(told, {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}, threads);
}

namespace {

const Problem& checked(const Problem& problem, const Desc& plain) {
    require(problem.reads.size() == 1 && problem.writes.size() == 1, "number of operands");
    require_flat(problem.reads[0], std::int64_t(plain.get_size() / sizeof(float)), "weight");
    return problem;
}

}  // namespace

std::size_t packed_floats(const Desc& packed) { return packed.get_size() / sizeof(float); }

bool has_weight(const Spec& weight, const Desc& packed) {
    if (weight.size() == 0) return false;
    require_flat(weight, std::int64_t(packed_floats(packed)), "packed weight");
    return true;
}

void report_missing_weight(const Run& run) {
    report(run, "GC-C002", "a kernel that was made without its weight was run");
}

WeightPack::WeightPack(const Problem& problem, const Desc& plain, const Desc& packed)
    : packed_(packed_floats(packed)),
      has_target_(has_weight(checked(problem, plain).writes[0], packed)),
      call_(reorder(plain, packed, problem.threads)) {}

void WeightPack::run(const Run& run) const {
    if (!has_target_) return report_missing_weight(run);
    const void* const addresses[] = {run.in(0), run.out(0)};
    call_.execute(run, run.workspace, addresses);
}

}  // namespace graphc::onednn
