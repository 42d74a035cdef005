"""What stands on the API server of a run beside its Nodes, and what its changes make of it."""

NAMESPACE, SITE, TENANT = "sluice-system", "scale", "falcon"
PLURALS = {"Site": "sites", "Tenant": "tenants"}  # those that are changed, in turn

OBJECTS = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: lake-agent, namespace: {NAMESPACE}}}
stringData: {{AWS_ACCESS_KEY_ID: origin, AWS_SECRET_ACCESS_KEY: origin-secret}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: {TENANT}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: keys, namespace: {TENANT}, labels: {{sluice.dev/tenant: {TENANT}}}}}
stringData: {{AWS_ACCESS_KEY_ID: tenant, AWS_SECRET_ACCESS_KEY: tenant-secret}}
---
apiVersion: sluice.dev/v1alpha1
kind: StagePlan
metadata: {{name: ladder}}
spec:
  stages:
  - {{name: Crawl, tenancy: SingleTenant, maxTenants: 1, entryGates: [{{name: calm, incident: {{atOrAbove: Severity1}}}}]}}
---
apiVersion: sluice.dev/v1alpha1
kind: SiteClass
metadata: {{name: small}}
spec:
  hardware: {{gpusPerNode: 0}}
  agent: {{memory: 256Mi, protocols: [S3]}}
  stagePlanRef: {{name: ladder}}
"""


def site_object(prefix):
    return {"apiVersion": "sluice.dev/v1alpha1", "kind": "Site", "metadata": {"name": SITE},
            "spec": {"classRef": {"name": "small"}, "nodeSelector": {"sluice.dev/site": SITE},
                     "origins": [{"name": "lake", "s3": {
                         "endpoint": "http://127.0.0.1:1", "region": "us-east-1",
                         "credentialsRef": {"name": "lake-agent"}}}],
                     "mounts": [{"path": "/datasets", "origin": "lake", "bucket": "training",
                                 "prefix": prefix}],
                     "stage": "Crawl", "requestedBy": "scale"}}


def tenant_object(verbs):
    return {"apiVersion": "sluice.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": TENANT},
            "spec": {"sites": [SITE], "namespaces": [TENANT],
                     "credentialsRef": {"name": "keys", "namespace": TENANT},
                     "access": [{"mount": "/datasets", "verbs": verbs}]}}


def changed(kind, i):
    """The object of that kind as its change number i leaves it; 0 is how it begins. Each differs from
    the one before in what agents are sent."""
    if kind == "Site":
        return site_object(f"curated/{i}/")
    return tenant_object(["Read", "Write"] if i % 2 else ["Read"])
