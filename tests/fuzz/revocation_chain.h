/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate that the inputs of fuzz_ocsp and fuzz_crl are about, and its issuer. The private number of the issuer's key
 * is 1: there is nothing to keep secret, and more inputs can be signed. */
#pragma once

#define FUZZ_NOW 1800000000

static const char fuzz_chain[] = "-----BEGIN CERTIFICATE-----\n"
				 "MIICdTCCAhygAwIBAgIFAIGCg4QwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIRnV6\n"
				 "eiBJQ0EwHhcNMjcwMTE0MDgwMDAwWhcNMjcwNDE1MDgwMDAwWjAWMRQwEgYDVQQD\n"
				 "DAtleGFtcGxlLmNvbTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLC3sDdw9S8x\n"
				 "zbPAwr30p8ebi2HoOSMxBf8duHocacRbCnbwqzDuiUqiAdfNCevctbnbGwDeR7yg\n"
				 "QxicLZ+gEnSjggFYMIIBVDAMBgNVHRMBAf8EAjAAMB0GA1UdDgQWBBQYydZSuvGm\n"
				 "HtdTEhzN7rQlSu5CNzAfBgNVHSMEGDAWgBS0Z6OZnrXvpnHeADLwipyeXv2g4TCB\n"
				 "ngYIKwYBBQUHAQEEgZEwgY4wHgYIKwYBBQUHMAGGEmxkYXA6Ly9uby5leGFtcGxl\n"
				 "LzAhBggrBgEFBQcwAYYVaHR0cDovL29jc3AuZXhhbXBsZS9hMCIGCCsGAQUFBzAB\n"
				 "hhZodHRwOi8vc2Vjb25kLmV4YW1wbGUvMCUGCCsGAQUFBzAChhlIVFRQOi8vY2Eu\n"
				 "ZXhhbXBsZS9pY2EuY3J0MGMGA1UdHwRcMFowGKAWoBSGEmxkYXA6Ly9uby5leGFt\n"
				 "cGxlLzAfoB2gG4YZaHR0cDovL2NybC5leGFtcGxlL3AxLmNybDAdoBugGYYXaHR0\n"
				 "cDovL3NlY29uZC5leGFtcGxlL2MwCgYIKoZIzj0EAwIDRwAwRAIgTawlQIR2hGJx\n"
				 "fMf+lGWAJuba35f7myRjEvML7038t5UCIGPb7HTlDnmkhxxQzsDYp8Zrbrvi7B1w\n"
				 "lNYd9SFHUY6j\n"
				 "-----END CERTIFICATE-----\n"
				 "-----BEGIN CERTIFICATE-----\n"
				 "MIIBeTCCAR6gAwIBAgIFEjRWeJQwCgYIKoZIzj0EAwIwDzENMAsGA1UEAwwEUm9v\n"
				 "dDAeFw0yNDA0MjAwODAwMDBaFw0yOTEwMTEwODAwMDBaMBMxETAPBgNVBAMMCEZ1\n"
				 "enogSUNBMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA\n"
				 "8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R\n"
				 "9aNjMGEwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQUtGejmZ6176Zx3gAy8Iqc\n"
				 "nl79oOEwHwYDVR0jBBgwFoAUQXanuaXsv1eVsVoIXN6tLcS+dYEwDgYDVR0PAQH/\n"
				 "BAQDAgEGMAoGCCqGSM49BAMCA0kAMEYCIQDVraZmS8S1sVQ1idsmkOG7F/VBNAHX\n"
				 "NSQKRTZjPvhDXQIhAM3SoVis0+O8FOP5PLUNa5L6/uuCzi/Av4MGdBmF7o5N\n"
				 "-----END CERTIFICATE-----\n";
