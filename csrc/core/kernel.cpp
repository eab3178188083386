#include "core/kernel.h"

#include <map>

#include "error.h"

namespace graphc {

namespace {

// Built on first use, since kernels register while their files are being initialised.
std::map<std::string, Factory>& table() {
    static std::map<std::string, Factory> kernels;
    return kernels;
}

}  // namespace

bool register_kernel(const char* symbol, Factory factory) {
    return table().emplace(symbol, factory).second;
}

Factory find_kernel(const std::string& symbol) {
    const auto found = table().find(symbol);
    if (found == table().end()) {
        throw Error("GC-A001", "no kernel " + symbol + " in this build",
                    "compile the network again");
    }
    return found->second;
}

std::vector<std::string> kernel_symbols() {
    std::vector<std::string> names;
    for (const auto& [name, factory] : table()) names.push_back(name);
    return names;
}

}  // namespace graphc
