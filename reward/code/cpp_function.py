"""C++ programs whose tests call a method of their class `Solution`, as on LeetCode.

What is added reads the arguments, calls the method and writes what it returns to the descriptor of values, as
`inside.values` does. The method's types choose the overloads that read and write, so no header is parsed. Expected
values stay out here; a program that writes a value itself has only answered.
"""

import json
from typing import Any

from reward.code.inside.program import VALUE

STDOUT = 1  # the descriptor where there is none of the jail's; what the program prints is then dropped

# Before the program, whose macros could change it. `Solution` may be anything that has the method.
_BEFORE = r"""
#include <bits/stdc++.h>
#include <unistd.h>
using namespace std;
namespace calling {
template <class T> enable_if_t<is_arithmetic_v<T>> read(T &value) { cin >> value; }
inline void read(string &value) {
    size_t size = 0;
    cin >> size;
    cin.get();
    value.resize(cin ? size : 0);
    cin.read(value.data(), value.size());
}
inline void read(char &value) { string text; read(text); value = text.empty() ? '\0' : text[0]; }
template <class T> void read(vector<T> &values) {
    size_t size = 0;
    cin >> size;
    for (size_t i = 0; cin && i < size; i++) { T value{}; read(value); values.push_back(move(value)); }
}
template <class T> T argument() {
    T value{};
    read(value);
    return value;
}
inline void write(string &to, bool value) { to += value ? "true" : "false"; }
inline void write(string &to, const string &value) {
    to += '"';
    for (unsigned char c : value) {
        char code[8];
        snprintf(code, sizeof code, c < 0x20 || c == '"' || c == '\\' ? "\\u%04x" : "%c", c);
        to += code;
    }
    to += '"';
}
inline void write(string &to, char value) { write(to, string(1, value)); }
template <class T> enable_if_t<is_integral_v<T>> write(string &to, T value) { to += to_string(value); }
template <class T> enable_if_t<is_floating_point_v<T>> write(string &to, T value) {
    char text[64];
    snprintf(text, sizeof text, "%.17g", double(value));
    to += std::isnan(value) ? "NaN" : std::isinf(value) ? (value < 0 ? "-Infinity" : "Infinity") : text;
}
template <class T> void write(string &to, const vector<T> &values) {
    const char *separator = "[";
    for (const T &value : values) { to += separator; write(to, value); separator = ", "; }
    to += values.empty() ? "[]" : "]";
}
template <class R, class... A, class Method> string answer(Method method) {
    tuple<decay_t<A>...> arguments{argument<decay_t<A>>()...};
    string rest, text;
    if (!cin || cin >> rest) { fputs("the arguments are of other types\n", stderr); _exit(1); }
    if constexpr (is_void_v<R>) apply(method, arguments), text = "null";
    else write(text, static_cast<const decay_t<R> &>(apply(method, arguments)));
    return text + "\n";
}
template <class S, class R, class... A> string call(R (S::*method)(A...)) {
    S object;
    return answer<R, A...>([&](auto &...a) -> R { return (object.*method)(static_cast<A>(a)...); });
}
template <class S, class R, class... A> string call(R (S::*method)(A...) const) {
    S object;
    return answer<R, A...>([&](auto &...a) -> R { return (object.*method)(static_cast<A>(a)...); });
}
template <class S, class R, class... A> string call(R (*method)(A...)) {
    return answer<R, A...>([=](auto &...a) -> R { return method(static_cast<A>(a)...); });
}
inline void send(const string &text, int descriptor) {
    for (size_t sent = 0; sent < text.size();) {
        ssize_t number = ::write(descriptor, text.data() + sent, text.size() - sent);
        if (number <= 0) _exit(1);
        sent += number;
    }
}
}
#define main main_of_the_program
#line 1 "solution.cpp"
"""
_AFTER = r"""
#undef main
#undef int
int main() {
    int descriptor = %(descriptor)d;
    if (descriptor == 1) { descriptor = dup(1); (void)!freopen("/dev/null", "w", stdout); }
    calling::send(calling::call<Solution>(&Solution::%(function)s), descriptor);
}
"""


def with_main(source: str, function: str, descriptor: int = VALUE) -> str:
    """The program with a `main` that calls `Solution`'s method `function` with what `arguments` makes of a test's input
    and writes its value to `descriptor`."""
    return f"{_BEFORE}{source}{_AFTER % {'descriptor': descriptor, 'function': function}}"


def arguments(lines: bytes) -> bytes:
    """The JSON values of the lines in the form that is read there: numbers as text, true as 1, a string after its
    length in bytes, a list after its length.

    Raises ValueError for a line that is no JSON, or holds anything else.
    """
    return "".join(map(_argument, map(json.loads, lines.decode().split("\n")))).encode()


def _argument(value: Any) -> str:
    if isinstance(value, bool):
        return f"{value:d} "
    if isinstance(value, int | float):
        return f"{value!r} "
    if isinstance(value, str):
        return f"{len(value.encode())} {value} "
    if isinstance(value, list):
        return f"{len(value)} {''.join(map(_argument, value))}"
    raise ValueError(f"a C++ function takes no {type(value).__name__}")
