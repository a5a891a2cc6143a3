// The roles of the controllers that upstream runs, for programs that run them against this server.

extension BootstrapPolicyText {
    /// Facts from upstream's bootstrappolicy/controller_policy.go, written as `clusterRoles` are.
    static let controllerRoles = """
        controller attachdetach-controller
        list,watch core persistentvolumes,persistentvolumeclaims
        read core nodes
        patch,update core nodes/status
        list,watch core pods
        events
        get,create,delete,list,watch storage.k8s.io volumeattachments
        read storage.k8s.io csidrivers
        read storage.k8s.io csinodes
        controller clusterrole-aggregation-controller
        escalate,get,list,watch,update,patch rbac.authorization.k8s.io clusterroles
        controller cronjob-controller
        get,list,watch,update batch cronjobs
        get,list,watch,create,update,delete,patch batch jobs
        update batch cronjobs/status
        update batch cronjobs/finalizers
        list,watch,delete core pods
        events
        controller daemon-set-controller
        read extensions,apps daemonsets
        update extensions,apps daemonsets/status
        update extensions,apps daemonsets/finalizers
        list,watch core nodes
        list,watch,create,delete,patch core pods
        create core pods/binding
        get,list,watch,create,delete,update,patch apps controllerrevisions
        events
        controller deployment-controller
        get,list,watch,update extensions,apps deployments
        update extensions,apps deployments/status
        update extensions,apps deployments/finalizers
        get,list,watch,create,update,patch,delete apps,extensions replicasets
        get,list,watch,update core pods
        events
        controller disruption-controller
        read extensions,apps deployments
        read apps,extensions replicasets
        read core replicationcontrollers
        read policy poddisruptionbudgets
        read apps statefulsets
        update policy poddisruptionbudgets/status
        patch,update core pods/status
        get * */scale
        events
        controller endpoint-controller
        read core services,pods
        get,list,watch,create,update,delete core endpoints
        create core endpoints/restricted
        events
        controller endpointslice-controller
        read core services,pods,nodes
        update core services/finalizers
        get,list,watch,create,update,delete discovery.k8s.io endpointslices
        events
        controller endpointslicemirroring-controller
        read core services,endpoints
        update core services/finalizers
        update core endpoints/finalizers
        get,list,watch,create,update,delete discovery.k8s.io endpointslices
        events
        controller expand-controller
        get,list,watch,update,patch core persistentvolumes
        update,patch core persistentvolumeclaims/status
        read core persistentvolumeclaims
        events
        get core services
        controller ephemeral-volume-controller
        read core pods
        update core pods/finalizers
        get,list,watch,create core persistentvolumeclaims
        events
        controller resource-claim-controller
        read core pods
        update core pods/finalizers
        get,list,watch,create,delete resource.k8s.io resourceclaims
        update,patch resource.k8s.io resourceclaims,resourceclaims/status
        update,patch core pods/status
        events
        controller generic-garbage-collector
        get,list,watch,patch,update,delete * *
        events
        controller horizontal-pod-autoscaler
        read autoscaling horizontalpodautoscalers
        update autoscaling horizontalpodautoscalers/status
        get,update * */scale
        list,watch core pods
        list,watch metrics.k8s.io pods
        read custom.metrics.k8s.io *
        read external.metrics.k8s.io *
        events
        controller job-controller
        get,list,watch,update,patch batch jobs
        update batch jobs/status
        update batch jobs/finalizers
        list,watch,create,delete,patch core pods
        events
        controller namespace-controller
        get,list,watch,delete core namespaces
        update core namespaces/finalize,namespaces/status
        get,list,watch,delete,deletecollection * *
        controller node-controller
        get,list,watch,update,delete,patch core nodes
        patch,update core nodes/status
        patch,update core pods/status
        list,watch,get,delete core pods
        events
        controller persistent-volume-binder
        get,list,watch,update,create,delete core persistentvolumes
        update core persistentvolumes/status
        get,list,watch,update core persistentvolumeclaims
        update core persistentvolumeclaims/status
        list,watch,get,create,delete core pods
        read storage.k8s.io storageclasses
        list,watch core nodes
        events
        watch core events
        get core services
        controller pod-garbage-collector
        list,watch,delete core pods
        read core nodes
        patch core pods/status
        controller replicaset-controller
        get,list,watch,update apps,extensions replicasets
        update apps,extensions replicasets/status
        update apps,extensions replicasets/finalizers
        list,watch,patch,create,delete core pods
        events
        controller replication-controller
        get,list,watch,update core replicationcontrollers
        update core replicationcontrollers/status
        update core replicationcontrollers/finalizers
        list,watch,patch,create,delete core pods
        events
        controller resourcequota-controller
        list,watch * *
        update core resourcequotas/status
        events
        controller route-controller
        list,watch core nodes
        patch core nodes/status
        events
        controller service-account-controller
        create core serviceaccounts
        events
        controller service-controller
        read core services
        patch,update core services/status
        list,watch core nodes
        events
        controller service-cidrs-controller
        get,list,watch,patch,update networking.k8s.io servicecidrs
        patch,update networking.k8s.io servicecidrs/finalizers
        patch,update networking.k8s.io servicecidrs/status
        read networking.k8s.io ipaddresses
        events
        controller statefulset-controller
        list,watch core pods
        read apps statefulsets
        update apps statefulsets/status
        update apps statefulsets/finalizers
        get,create,delete,update,patch core pods
        get,create,delete,update,patch,list,watch apps controllerrevisions
        get,create,list,watch core persistentvolumeclaims
        update,delete core persistentvolumeclaims
        update core pods/finalizers
        events
        controller ttl-controller
        update,patch,list,watch core nodes
        events
        controller certificate-controller
        get,list,watch,delete certificates.k8s.io certificatesigningrequests
        update certificates.k8s.io certificatesigningrequests/status,certificatesigningrequests/approval
        approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client-kubelet
        sign certificates.k8s.io signers kubernetes.io/legacy-unknown,kubernetes.io/kube-apiserver-client,\
        kubernetes.io/kube-apiserver-client-kubelet,kubernetes.io/kubelet-serving
        create authorization.k8s.io subjectaccessreviews
        events
        controller pvc-protection-controller
        get,list,watch,update core persistentvolumeclaims
        list,watch,get core pods
        events
        controller pv-protection-controller
        get,list,watch,update core persistentvolumes
        events
        controller volumeattributesclass-protection-controller
        read core persistentvolumeclaims
        read core persistentvolumes
        get,list,watch,update storage.k8s.io volumeattributesclasses
        events
        controller ttl-after-finished-controller
        get,list,watch,delete batch jobs
        events
        controller root-ca-cert-publisher
        create,update core configmaps
        events
        controller validatingadmissionpolicy-status-controller
        read admissionregistration.k8s.io validatingadmissionpolicies
        get,patch,update admissionregistration.k8s.io validatingadmissionpolicies/status
        events
        controller legacy-service-account-token-cleaner
        get core configmaps kube-apiserver-legacy-service-account-token-tracking
        patch,delete core secrets
        controller selinux-warning-controller
        events
        read core persistentvolumes
        read core persistentvolumeclaims
        read core pods
        read storage.k8s.io csidrivers
        """
}
