// A user's program in C++ against the tracker alone (tests/install/run_tracker.py): scopes end by return and by
// an exception. Prints the statistics.
#include <bitnet/op_stats.h>

#include <cstdio>
#include <stdexcept>
#include <string>

static int work(bitnet_ops *ops, int i) {
    BITNET_OP_SCOPE(op, ops, "work", "c++");
    bitnet_op_units(op, 2, "item");
    if (i == 3) {
        bitnet_op_fail(op, "item %d is bad", i);
        throw std::runtime_error("bad");
    }
    return i;
}

int main() {
    bitnet_ops *ops = nullptr;
    bitnet_ops_desc desc = {};
    if (bitnet_ops_create(&ops, &desc) != BITNET_OK) return 71;
    for (int i = 0; i < 5; i++) {
        try {
            work(ops, i);
        } catch (const std::runtime_error &) {
        }
    }
    std::string json(bitnet_ops_write_json(ops, nullptr, 0) + 1, '\0');
    bitnet_ops_write_json(ops, &json[0], json.size());
    std::puts(json.c_str());
    bitnet_ops_free(ops);
    return 0;
}
