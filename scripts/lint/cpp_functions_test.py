"""What cpp_functions finds in code that is hard to read by braces."""

import unittest

from cpp_functions import functions

CODE = """\
namespace varserve {
namespace {

constexpr int kSizes[] = {1'000, 2'000};  // {
const std::vector<int> kList = std::vector<int>{1, 2};
const auto kDouble = [](int a) {
  return 2 * a;
};
constexpr char kText[] = R"(void Not() {
)";

enum class Kind : uint8_t { kOne, kTwo };

template <typename T>
T Twice(T a) {
  if (a > 0) {
    return [&] { return '{' + a; }();
  }
  return "}" + a;  /* } */
}

}  // namespace

#define BRACE {

class Reader final : public Base {
 public:
  explicit Reader(int a)
      : Base{a},
        a_{a} {
    Check();
  }
  ~Reader() override { Close(); }
  int value() const ABSL_LOCKS_EXCLUDED(mutex_) { return a_; }
  bool operator==(const Reader&) const = default;
  bool operator<(const Reader& other) const { return a_ < other.a_; }
  auto Get(int a = 0) const -> std::map<int, int> { return {}; }

 private:
  struct Part {
    int length = 0;
    std::vector<int> rows{1, 2};
    void Clear() {
      length = 0;
    }
  };

  int a_ = 0;
};

absl::StatusOr<std::unique_ptr<Reader>> Reader::Open(
    const std::string& name, std::function<void()> done = [] {}) {
  return Read({name, {1, 2}});
}

extern "C" {
int c_function(void) { return 0; }
}

}  // namespace varserve
"""


class FunctionsTest(unittest.TestCase):
    def test_names_and_lines(self) -> None:
        found = {f.name: (f.line, f.lines) for f in functions("reader.cc", CODE)}
        self.assertEqual(
            found,
            {
                "Twice": (14, 7),
                "Reader": (28, 5),
                "~Reader": (33, 1),
                "value": (34, 1),
                "operator<": (36, 1),
                "Get": (37, 1),
                "Clear": (43, 3),
                "Reader::Open": (51, 4),
                "c_function": (57, 1),
            },
        )

    def test_code_that_is_not_balanced_is_an_error(self) -> None:
        for code in ("void F() {\n", "void F() {}\n}\n"):
            with self.assertRaisesRegex(ValueError, r"reader\.cc"):
                list(functions("reader.cc", code))


if __name__ == "__main__":
    unittest.main()
