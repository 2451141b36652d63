// Of the libraries the versions that programs/kubernetes has: what is built of them is built once.
module helm

go 1.24.0

require (
	helm.sh/helm/v3 v3.19.2
	k8s.io/api v0.34.2
	k8s.io/apiextensions-apiserver v0.34.2
	k8s.io/apimachinery v0.34.2
	k8s.io/apiserver v0.34.2
	k8s.io/cli-runtime v0.34.2
	k8s.io/client-go v0.34.2
	k8s.io/component-base v0.34.2
	k8s.io/kubectl v0.34.2
)
