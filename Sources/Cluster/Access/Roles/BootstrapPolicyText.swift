// The roles and bindings that every cluster begins with, as upstream names and fills them.

/// Facts from upstream's plugin/pkg/auth/authorizer/rbac/bootstrappolicy, one rule a line; `BootstrapPolicy` reads
/// them.
///
/// A heading says the kind, the name, and then, each with its mark: `+label` (an aggregate-to label), `<label` (the
/// label that it aggregates), `@subject` (whom it is bound to: `u:` user, `g:` group, `s:` service account of
/// kube-system). `controller NAME` is the cluster role `system:controller:NAME`, bound to the account NAME.
///
/// A rule is verbs, groups, resources and perhaps names, or verbs, `url` and paths. `core` is the group without a name,
/// `read` and `write` stand for the verbs that read and write, `events` for the rule that lets a part record events.
enum BootstrapPolicyText {
    static let clusterRoles = """
        role cluster-admin @g:system:masters
        * * *
        * url *
        role system:discovery @g:system:authenticated
        get url /livez,/readyz,/healthz,/version,/version/,/openapi,/openapi/*,/api,/api/*,/apis,/apis/*
        role system:monitoring @g:system:monitoring
        get url /metrics,/metrics/slis,/livez,/readyz,/healthz,/livez/*,/readyz/*,/healthz/*
        role system:basic-user @g:system:authenticated
        create authorization.k8s.io selfsubjectaccessreviews,selfsubjectrulesreviews
        create authentication.k8s.io selfsubjectreviews
        role system:public-info-viewer @g:system:authenticated @g:system:unauthenticated
        get url /livez,/readyz,/healthz,/version,/version/
        role admin <admin
        role edit <edit +admin
        role view <view +edit
        role system:aggregate-to-admin +admin
        create authorization.k8s.io localsubjectaccessreviews
        read,write rbac.authorization.k8s.io roles,rolebindings
        role system:aggregate-to-edit +edit
        read core pods/attach,pods/proxy,pods/exec,pods/portforward,secrets,services/proxy
        impersonate core serviceaccounts
        write core pods,pods/attach,pods/proxy,pods/exec,pods/portforward
        create core pods/eviction
        write core replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/proxy,\
        persistentvolumeclaims,configmaps,secrets,events
        create core serviceaccounts/token
        write apps statefulsets,statefulsets/scale,daemonsets,deployments,deployments/scale,\
        deployments/rollback,replicasets,replicasets/scale
        write autoscaling horizontalpodautoscalers
        write batch jobs,cronjobs
        write extensions daemonsets,deployments,deployments/scale,deployments/rollback,ingresses,replicasets,\
        replicasets/scale,replicationcontrollers/scale,networkpolicies
        write policy poddisruptionbudgets
        write networking.k8s.io networkpolicies,ingresses
        read,write coordination.k8s.io leases
        write resource.k8s.io resourceclaims,resourceclaimtemplates
        role system:aggregate-to-view +view
        read core pods,replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,\
        services/status,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,configmaps
        read core limitranges,resourcequotas,bindings,events,pods/status,resourcequotas/status,\
        namespaces/status,replicationcontrollers/status,pods/log
        read core namespaces
        read discovery.k8s.io endpointslices
        read apps controllerrevisions,statefulsets,statefulsets/status,statefulsets/scale,daemonsets,\
        daemonsets/status,deployments,deployments/status,deployments/scale,replicasets,replicasets/status,\
        replicasets/scale
        read autoscaling horizontalpodautoscalers,horizontalpodautoscalers/status
        read batch jobs,cronjobs,cronjobs/status,jobs/status
        read extensions daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,ingresses,\
        ingresses/status,replicasets,replicasets/scale,replicasets/status,replicationcontrollers/scale,networkpolicies
        read policy poddisruptionbudgets,poddisruptionbudgets/status
        read networking.k8s.io networkpolicies,ingresses,ingresses/status
        read resource.k8s.io resourceclaims,resourceclaims/status,resourceclaimtemplates
        role system:heapster
        read core events,pods,nodes,namespaces
        read extensions deployments
        role system:node @
        create authentication.k8s.io tokenreviews
        create authorization.k8s.io subjectaccessreviews,localsubjectaccessreviews
        read core services
        create,get,list,watch core nodes
        update,patch core nodes/status
        update,patch core nodes
        create,update,patch core events
        read core pods
        create,delete core pods
        update,patch core pods/status
        create core pods/eviction
        read core secrets,configmaps
        get core persistentvolumeclaims,persistentvolumes
        get core endpoints
        create,get,list,watch certificates.k8s.io certificatesigningrequests
        get,create,update,patch,delete coordination.k8s.io leases
        get storage.k8s.io volumeattachments
        create core serviceaccounts/token
        get,update,patch core persistentvolumeclaims/status
        read storage.k8s.io csidrivers
        get,create,update,patch,delete storage.k8s.io csinodes
        read node.k8s.io runtimeclasses
        get resource.k8s.io resourceclaims
        deletecollection resource.k8s.io resourceslices
        get,list,watch,create,update,patch,delete resource.k8s.io resourceslices
        role system:node-problem-detector
        get core nodes
        patch core nodes/status
        events
        role system:kubelet-api-admin
        read core nodes
        proxy core nodes
        * core nodes/proxy,nodes/metrics,nodes/stats,nodes/log
        role system:node-bootstrapper
        create,get,list,watch certificates.k8s.io certificatesigningrequests
        role system:auth-delegator
        create authentication.k8s.io tokenreviews
        create authorization.k8s.io subjectaccessreviews
        role system:kube-aggregator
        read core services,endpoints
        role system:kube-controller-manager @u:system:kube-controller-manager
        events
        create coordination.k8s.io leases
        get,update coordination.k8s.io leases kube-controller-manager
        create core secrets,serviceaccounts
        delete core secrets
        get core namespaces,secrets,serviceaccounts,configmaps
        update core secrets,serviceaccounts
        create authentication.k8s.io tokenreviews
        create authorization.k8s.io subjectaccessreviews
        list,watch * *
        create core serviceaccounts/token
        role system:kube-dns @s:kube-dns
        list,watch core endpoints,services
        role system:persistent-volume-provisioner
        get,list,watch,create,delete core persistentvolumes
        get,list,watch,update core persistentvolumeclaims
        read storage.k8s.io storageclasses
        watch core events
        events
        role system:certificates.k8s.io:certificatesigningrequests:nodeclient
        create certificates.k8s.io certificatesigningrequests/nodeclient
        role system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
        create certificates.k8s.io certificatesigningrequests/selfnodeclient
        role system:volume-scheduler @u:system:kube-scheduler
        get,list,watch,patch,update core persistentvolumes
        read storage.k8s.io storageclasses
        get,list,watch,patch,update core persistentvolumeclaims
        role system:certificates.k8s.io:legacy-unknown-approver
        approve certificates.k8s.io signers kubernetes.io/legacy-unknown
        role system:certificates.k8s.io:kubelet-serving-approver
        approve certificates.k8s.io signers kubernetes.io/kubelet-serving
        role system:certificates.k8s.io:kube-apiserver-client-approver
        approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client
        role system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
        approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client-kubelet
        role system:service-account-issuer-discovery @g:system:serviceaccounts
        get url /.well-known/openid-configuration,/openid/v1/jwks
        role system:node-proxier @u:system:kube-proxy
        list,watch core services,endpoints
        read core nodes
        events
        list,watch discovery.k8s.io endpointslices
        role system:kube-scheduler @u:system:kube-scheduler
        events
        create coordination.k8s.io leases
        get,update coordination.k8s.io leases kube-scheduler
        read core nodes
        get,list,watch,delete core pods
        create core pods/binding,bindings
        patch,update core pods/status
        read core services,replicationcontrollers
        read apps,extensions replicasets
        read apps statefulsets
        read policy poddisruptionbudgets
        read core persistentvolumeclaims,persistentvolumes
        create authentication.k8s.io tokenreviews
        create authorization.k8s.io subjectaccessreviews
        read storage.k8s.io csinodes
        read core namespaces
        read storage.k8s.io csidrivers
        read storage.k8s.io csistoragecapacities
        read storage.k8s.io volumeattachments
        read resource.k8s.io deviceclasses
        get,list,watch,update,patch resource.k8s.io resourceclaims
        update,patch resource.k8s.io resourceclaims/status
        read resource.k8s.io resourceslices
        """

    /// Roles of `kube-system`; the headings of `kube-public` say so.
    static let namespacedRoles = """
        role extension-apiserver-authentication-reader
        read core configmaps extension-apiserver-authentication
        role system:controller:bootstrap-signer @s:bootstrap-signer
        read core secrets
        role system:controller:cloud-provider @s:cloud-provider
        create,get,list,watch core configmaps
        role system:controller:token-cleaner @s:token-cleaner
        get,list,watch,delete core secrets
        events
        role system::leader-locking-kube-controller-manager @u:system:kube-controller-manager \
        @s:kube-controller-manager @s:leader-election-controller
        watch core configmaps
        get,update core configmaps kube-controller-manager
        get,watch,list,create,update coordination.k8s.io leases
        role system::leader-locking-kube-scheduler @u:system:kube-scheduler @s:kube-scheduler
        watch core configmaps
        get,update core configmaps kube-scheduler
        role kube-public/system:controller:bootstrap-signer @s:bootstrap-signer
        read core configmaps
        update core configmaps cluster-info
        events
        """
}
