#include "dnnl/engine.h"

#include <cstdio>
#include <string>

#include "dnnl/provider.h"
#include "error.h"
#include "kernels/spatial_options.h"

namespace graphc::onednn {

const dnnl::engine& engine() {
    if (channel_block() == 0) {
        throw Error("GC-A001", "oneDNN is not bound to the instructions that GRAPHC_ISA allows",
                    "compile the network again");
    }
    // Never destroyed: kernels may live until the process ends.
    static const dnnl::engine* const only =
        made(1, [] { return new dnnl::engine(dnnl::engine::kind::cpu, 0); });
    return *only;
}

void throw_error(const dnnl::error& error) {
    if (error.status == dnnl_out_of_memory) {
        throw Error("GC-M002", "no memory left for oneDNN", "use a smaller batch");
    }
    throw Error("GC-A001", std::string("oneDNN: ") + error.what());
}

void refuse(const dnnl::primitive_desc_base& told, std::initializer_list<const char*> words) {
    const std::string name = told.impl_info_str();
    for (const char* word : words) {
        if (name.find(word) != std::string::npos) {
            throw Error("GC-A001", "oneDNN has only its slow " + name + " for this");
        }
    }
}

void report(const Run& run, const char* code, const char* message) {
    if (!run.fault) return;
    run.fault->code = code;
    std::snprintf(run.fault->message, sizeof run.fault->message, "%s", message);
}

dnnl::primitive_attr plain_attr() {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return attr;
}

dnnl::primitive_attr epilogue_attr(const Attrs& attrs) {
    const ActivationOptions act(attrs);
    dnnl::post_ops after;
    if (flag(attrs, "residual")) after.append_sum();
    if (act.activation != Activation::none) {
        after.append_eltwise(dnnl::algorithm::eltwise_relu, act.slope, 0);
    }
    dnnl::primitive_attr attr = plain_attr();
    attr.set_post_ops(after);
    return attr;
}

Call::Call(const dnnl::primitive_desc_base& told, const std::vector<Argument>& arguments,
           int threads) {
    made(threads, [&] {
        primitive_ = dnnl::primitive(told.get());
        stream_ = dnnl::stream(engine());
        const auto add = [&](int name, const Desc& desc) {
            memories_.emplace_back(desc, engine(), nullptr);
            arguments_.push_back({name, memories_.back().get()});
        };
        for (const Argument& argument : arguments) add(argument.name, argument.desc);
        add(DNNL_ARG_SCRATCHPAD, told.scratchpad_desc());
        scratchpad_ = told.scratchpad_desc().get_size();
    });
}

bool Call::execute(const Run& run, char* scratchpad, const void* const* addresses) const {
    dnnl_status_t status = dnnl_success;
    for (std::size_t i = 0; i < arguments_.size() && status == dnnl_success; ++i) {
        const bool is_last = i + 1 == arguments_.size();
        void* const address = is_last ? scratchpad : const_cast<void*>(addresses[i]);
        status = dnnl_memory_set_data_handle(arguments_[i].memory, address);
    }
    if (status == dnnl_success) {
        const ThreadLimit limit(run.threads);
        status = dnnl_primitive_execute(primitive_.get(), stream_.get(), int(arguments_.size()),
                                        arguments_.data());
    }
    if (status == dnnl_out_of_memory)
        report(run, "GC-M002", "no memory left for oneDNN");
    else if (status != dnnl_success)
        report(run, "GC-C002", "oneDNN failed to run a kernel");
    return status == dnnl_success;
}

}  // namespace graphc::onednn
