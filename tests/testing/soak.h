// Tests that can go on for long: seconds in ./dev test, minutes in ./dev soak, which sets the environment.
#pragma once

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

namespace varserve::testing {

// The amount that ./dev soak asks for in the environment variable `name`, else `usual`.
inline int SoakAmount(const char* name, int usual) {
  const char* text = std::getenv(name);
  return text == nullptr ? usual : std::atoi(text);
}

// A line of the summary; ./dev soak collects them in the file VARSERVE_SOAK_SUMMARY names.
inline void TellSoak(const std::string& line) {
  std::cout << line << std::endl;
  if (const char* path = std::getenv("VARSERVE_SOAK_SUMMARY"))
    std::ofstream(path, std::ios::app) << line << "\n";
}

}  // namespace varserve::testing
