#include "server/transport/tls_files.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>
#include <type_traits>

#include "absl/strings/str_cat.h"

namespace varserve::transport {

absl::Status CheckTlsFiles(const TlsFiles& files) {
  if (files.empty()) return absl::OkStatus();
  if (files.cert.empty() || files.key.empty())
    return absl::InvalidArgumentError("--tls_cert, --tls_key: both are needed");
  const auto read = [](const std::string& path, auto pem_read) {
    char no_password[] = "";  // instead of a prompt on the terminal
    using Object = std::remove_pointer_t<decltype(pem_read(nullptr, nullptr, nullptr, nullptr))>;
    const std::unique_ptr<BIO, decltype(&BIO_free)> file(BIO_new_file(path.c_str(), "r"), BIO_free);
    Object* object = file == nullptr ? nullptr : pem_read(file.get(), nullptr, nullptr, no_password);
    ERR_clear_error();
    return object;
  };
  const std::unique_ptr<X509, decltype(&X509_free)> cert(read(files.cert, PEM_read_bio_X509), X509_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(read(files.key, PEM_read_bio_PrivateKey),
                                                                EVP_PKEY_free);
  if (cert == nullptr)
    return absl::InvalidArgumentError(absl::StrCat("--tls_cert: ", files.cert, " holds no PEM certificate"));
  if (key == nullptr)
    return absl::InvalidArgumentError(absl::StrCat("--tls_key: ", files.key, " holds no PEM private key"));
  if (X509_check_private_key(cert.get(), key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        absl::StrCat("--tls_key: ", files.key, " is not the key of the certificate in ", files.cert));
  }
  if (files.client_ca.empty()) return absl::OkStatus();
  const std::unique_ptr<X509, decltype(&X509_free)> ca(read(files.client_ca, PEM_read_bio_X509), X509_free);
  if (ca == nullptr)
    return absl::InvalidArgumentError(
        absl::StrCat("--tls_client_ca: ", files.client_ca, " holds no PEM certificate"));
  return absl::OkStatus();
}

}  // namespace varserve::transport
