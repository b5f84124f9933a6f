#include "tests/e2e/certificates.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstring>
#include <memory>

namespace varserve::testing {
namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Cert = std::unique_ptr<X509, decltype(&X509_free)>;

std::string Text(const Bio& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

void Extend(X509* cert, X509* issuer, int what, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, what, value);
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

// Self-signed where there is no authority.
Certificate Make(const std::string& name, const Certificate* authority, absl::Duration valid) {
  static std::atomic<long> serial = 1;
  const Key key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const Cert cert(X509_new(), X509_free);
  X509_set_version(cert.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -24 * 3600);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), static_cast<long>(absl::ToInt64Seconds(valid)));
  X509_set_pubkey(cert.get(), key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  if (authority == nullptr) {
    X509_set_issuer_name(cert.get(), X509_get_subject_name(cert.get()));
    Extend(cert.get(), cert.get(), NID_basic_constraints, "critical,CA:TRUE");
    X509_sign(cert.get(), key.get(), EVP_sha256());
  } else {
    const Bio cert_text(BIO_new_mem_buf(authority->cert.data(), -1), BIO_free);
    const Bio key_text(BIO_new_mem_buf(authority->key.data(), -1), BIO_free);
    const Cert issuer(PEM_read_bio_X509(cert_text.get(), nullptr, nullptr, nullptr), X509_free);
    const Key issuer_key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
    X509_set_issuer_name(cert.get(), X509_get_subject_name(issuer.get()));
    Extend(cert.get(), issuer.get(), NID_subject_alt_name, "IP:127.0.0.1");
    X509_sign(cert.get(), issuer_key.get(), EVP_sha256());
  }
  const Bio cert_out(BIO_new(BIO_s_mem()), BIO_free);
  const Bio key_out(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_X509(cert_out.get(), cert.get());
  PEM_write_bio_PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {.cert = Text(cert_out), .key = Text(key_out)};
}

}  // namespace

Certificate MakeAuthority(const std::string& name) { return Make(name, nullptr, absl::Hours(1)); }

Certificate MakeCertificate(const Certificate& authority, absl::Duration valid) {
  return Make("127.0.0.1", &authority, valid);
}

}  // namespace varserve::testing
