#include <client/inference_client.h>

#include <fstream>
#include <iostream>
#include <iterator>

int main(int argc, char** argv) {
  if (argc != 4) return std::cerr << "usage: ask ADDRESS PICTURE QUESTION\n", 2;
  auto client = varserve::client::InferenceClient::Connect({.address = argv[1]});
  if (!client.ok()) return std::cerr << client.status() << "\n", 1;
  varserve::v1::AnswerRequest request;
  std::ifstream picture(argv[2], std::ios::binary);
  request.add_images()->set_data(std::string(std::istreambuf_iterator<char>(picture), {}));
  request.set_question(argv[3]);
  auto finished = (*client)->Answer(request, {}, [](const varserve::v1::GenerateResponse& response) {
    return bool(std::cout << response.delta().text());
  });
  std::cout << std::endl;
  return finished.ok() ? 0 : (std::cerr << finished.status() << "\n", 1);
}
