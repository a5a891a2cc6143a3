// What others need to check this cluster's tokens without asking it: OpenID Connect discovery.

import Formats

extension ServiceAccountTokens {
    /// `/.well-known/openid-configuration` (upstream: pkg/serviceaccount/openidmetadata.go).
    package var configurationDocument: JSON {
        [
            "issuer": .string(issuer), "jwks_uri": .string(issuer + "/openid/v1/jwks"),
            "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        ]
    }

    /// `/openid/v1/jwks`: the keys that tokens are signed with.
    package var keysDocument: JSON { ["keys": [key.publicKey]] }
}
