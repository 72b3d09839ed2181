/// Writes 60 images to train on: make_photos DIR makes DIR/<dark or light>/NN.ppm.
#include <filesystem>
#include <fstream>
#include <random>

int main(int, char** argv) {
  std::mt19937 random(1);
  for (int i = 0; i < 60; ++i) {
    const std::filesystem::path folder =
        std::filesystem::path(argv[1]) / (i % 2 ? "light" : "dark");
    std::filesystem::create_directories(folder);
    std::ofstream image(folder / (std::to_string(i) + ".ppm"), std::ios::binary);
    image << "P6\n16 16\n255\n";
    for (int p = 0; p < 16 * 16 * 3; ++p)
      image.put(static_cast<char>((i % 2 ? 150 : 0) + static_cast<int>(random() % 100)));
  }
}
