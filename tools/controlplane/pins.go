//go:build tools

// Package controlplane pins what is taken from a module's folder and not built: the Gateway API's CRDs.
package controlplane

import _ "sigs.k8s.io/gateway-api/apis/v1"
