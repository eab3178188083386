// Attrs: a call's parameters as plain numbers and text, read by name when a kernel is made.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "error.h"

namespace graphc {

class Attrs {
  public:
    using Value = std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>,
                               std::vector<double>>;

    void set(const std::string& name, Value value) {
        auto kept = std::make_shared<const Value>(std::move(value));
        table_[name] = std::move(kept);
    }
    bool has(const std::string& name) const { return table_.count(name) != 0; }

    std::int64_t integer(const std::string& name) const { return get<std::int64_t>(name); }
    // A whole number is a real one too.
    double real(const std::string& name) const {
        const Value& value = find(name);
        if (const auto* whole = std::get_if<std::int64_t>(&value)) return double(*whole);
        return get<double>(name);
    }
    const std::string& text(const std::string& name) const { return get<std::string>(name); }
    const std::vector<std::int64_t>& integers(const std::string& name) const {
        return get<std::vector<std::int64_t>>(name);
    }
    // A list of whole numbers (an empty one among them) is one of real numbers too.
    std::vector<double> reals(const std::string& name) const {
        const Value& value = find(name);
        if (const auto* whole = std::get_if<std::vector<std::int64_t>>(&value)) {
            return {whole->begin(), whole->end()};
        }
        return get<std::vector<double>>(name);
    }

  private:
    const Value& find(const std::string& name) const {
        const auto found = table_.find(name);
        if (found == table_.end()) throw Error("GC-A001", "a kernel lacks its parameter " + name);
        return *found->second;
    }
    template <class T>
    const T& get(const std::string& name) const {
        const T* value = std::get_if<T>(&find(name));
        if (!value) throw Error("GC-A001", "a kernel's parameter " + name + " has another type");
        return *value;
    }

    // Shared, since libstdc++ jumps into nowhere where copying a variant runs out of memory.
    std::map<std::string, std::shared_ptr<const Value>> table_;
};

}  // namespace graphc
