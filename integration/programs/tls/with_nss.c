/* SPDX-License-Identifier: Apache-2.0 */
/* NSS: PR_Write and PR_Read of libnspr4 on a descriptor that libssl3 laid its layer on. */
#include "client.h"

#include <cert.h>
#include <nss.h>
#include <prio.h>
#include <private/pprio.h>
#include <ssl.h>
#include <stdio.h>

static PRFileDesc *session;

static SECStatus trust(void *unused, SECItem **certificates, int count)
{
	CERTCertTrust trusted;
	CERTCertificate *made;

	(void)unused;
	made = count ? CERT_NewTempCertificate(CERT_GetDefaultCertDB(), certificates[0], NULL, PR_FALSE,
					       PR_TRUE) :
		       NULL;
	if (!made || CERT_DecodeTrustString(&trusted, "C,,") != SECSuccess)
		return SECFailure;
	return CERT_ChangeCertTrust(CERT_GetDefaultCertDB(), made, &trusted);
}

int tls_open(int descriptor, const char *host, const char *authority)
{
	static char pem[16384];
	FILE *file = fopen(authority, "r");
	size_t length = file ? fread(pem, 1, sizeof(pem), file) : 0;

	if (NSS_NoDB_Init(NULL) != SECSuccess ||
	    CERT_DecodeCertPackage(pem, length, trust, NULL) != SECSuccess)
		return -1;
	session = SSL_ImportFD(NULL, PR_ImportTCPSocket(descriptor));
	if (!session || SSL_SetURL(session, host) != SECSuccess)
		return -1;
	SSL_OptionSet(session, SSL_SECURITY, PR_TRUE);
	SSL_ResetHandshake(session, PR_FALSE);
	return SSL_ForceHandshake(session);
}

long tls_write(const void *data, size_t length)
{
	return PR_Write(session, data, length);
}

long tls_read(void *into, size_t room)
{
	return PR_Read(session, into, room);
}

void tls_close(void)
{
	PR_Close(session);
}
