// What Dubbo, Spring Cloud and SOFA do with Apache Curator, done with the same classes; prints a line for each, ends with 0.

import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.CuratorWatcher;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.NodeCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.RetryNTimes;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;

public class CuratorClients {
    /** A payload as Dubbo's and Spring Cloud's: a bean, named by its class. */
    public static class Payload {
        private String id = "";
        private String name = "";

        public Payload() {}

        Payload(String id, String name) { this.id = id; this.name = name; }

        public String getId() { return id; }
        public void setId(String id) { this.id = id; }
        public String getName() { return name; }
        public void setName(String name) { this.name = name; }
    }

    static CuratorFramework connect(String address) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.builder().connectString(address)
            .retryPolicy(new RetryNTimes(1, 1000)).connectionTimeoutMs(30000).sessionTimeoutMs(60000).build();
        client.start();
        check(client.blockUntilConnected(30, TimeUnit.SECONDS), "connected");
        return client;
    }

    static void check(boolean isSo, String what) {
        if (!isSo) throw new AssertionError("not so: " + what);
    }

    static void until(String what, BooleanSupplier test) throws Exception {
        for (int round = 0; round < 1500; round++) {
            if (test.getAsBoolean()) return;
            Thread.sleep(10);
        }
        throw new AssertionError("did not happen: " + what);
    }

    /** Dubbo, interface level: AbstractZookeeperClient.create, addTargetChildListener. */
    static void interfaceLevel(CuratorFramework provider, CuratorFramework consumer) throws Exception {
        String directory = "/dubbo/com.acme.Curated/providers";
        for (String path : List.of("/dubbo", "/dubbo/com.acme.Curated", directory)) {
            try {
                consumer.create().forPath(path);
            } catch (KeeperException.NodeExistsException known) {
                // somebody else made it
            }
        }
        BlockingQueue<List<String>> seen = new LinkedBlockingQueue<>();
        CuratorWatcher watcher = new CuratorWatcher() {
            public void process(WatchedEvent event) throws Exception {
                seen.add(consumer.getChildren().usingWatcher(this).forPath(event.getPath()));
            }
        };
        check(consumer.getChildren().usingWatcher(watcher).forPath(directory).isEmpty(), "no provider yet");
        String url = "dubbo://10.9.0.1:20880/com.acme.Curated?application=curated&interface=com.acme.Curated&side=provider";
        String path = directory + "/" + URLEncoder.encode(url, StandardCharsets.UTF_8);
        provider.create().withMode(CreateMode.EPHEMERAL).forPath(path);
        check(List.of(URLEncoder.encode(url, StandardCharsets.UTF_8)).equals(seen.poll(20, TimeUnit.SECONDS)), "the provider");
        check(new String(consumer.getData().forPath(path), StandardCharsets.UTF_8).contains("."), "Curator's data");
        check(provider.checkExists().forPath(path).getEphemeralOwner()
            == provider.getZookeeperClient().getZooKeeper().getSessionId(), "the owner");
        provider.delete().forPath(path);
        check(seen.poll(20, TimeUnit.SECONDS).isEmpty(), "the provider is gone");
        consumer.watchers().remove(watcher).forPath(directory);
        System.out.println("interface level");
    }

    /** Dubbo's application level and Spring Cloud: curator-x-discovery with a cache. */
    static void applicationLevel(CuratorFramework provider, CuratorFramework consumer) throws Exception {
        ServiceInstance<Payload> instance = ServiceInstance.<Payload>builder().name("curated").address("10.9.0.1").port(8080)
            .id("10.9.0.1:8080").payload(new Payload("10.9.0.1:8080", "curated")).build();
        ServiceDiscovery<Payload> registering = ServiceDiscoveryBuilder.builder(Payload.class).client(provider)
            .basePath("/services").build();
        ServiceDiscovery<Payload> looking = ServiceDiscoveryBuilder.builder(Payload.class).client(consumer)
            .basePath("/services").build();
        registering.start();
        looking.start();
        ServiceCache<Payload> cache = looking.serviceCacheBuilder().name("curated").build();
        cache.start();
        registering.registerService(instance);
        until("an instance in the cache", () -> cache.getInstances().size() == 1);
        ServiceInstance<Payload> read = cache.getInstances().get(0);
        check(read.getAddress().equals("10.9.0.1") && read.getPort() == 8080, "the place");
        check(read.getPayload().getName().equals("curated"), "the payload of its class");
        check(looking.queryForNames().contains("curated"), "the application's name");
        registering.unregisterService(instance);
        until("the instance's end", () -> cache.getInstances().isEmpty());
        cache.close();
        looking.close();
        registering.close();
        System.out.println("application level");
    }

    /** SOFARPC: PathChildrenCache, and data of one byte. */
    static void sofa(CuratorFramework provider, CuratorFramework consumer) throws Exception {
        String directory = "/sofa-rpc/com.acme.Curated/providers";
        PathChildrenCache cache = new PathChildrenCache(consumer, directory, true);
        cache.start(PathChildrenCache.StartMode.BUILD_INITIAL_CACHE);
        String name = URLEncoder.encode("bolt://10.9.0.1:12200?version=1.0&uniqueId=&weight=100", StandardCharsets.UTF_8);
        provider.create().creatingParentContainersIfNeeded().withMode(CreateMode.EPHEMERAL)
            .forPath(directory + "/" + name, new byte[] {1});
        until("a provider", () -> cache.getCurrentData().size() == 1);
        check(cache.getCurrentData().get(0).getData()[0] == 1, "online");
        provider.setData().forPath(directory + "/" + name, new byte[] {0});
        until("offline", () -> cache.getCurrentData().get(0).getData()[0] == 0);
        provider.delete().forPath(directory + "/" + name);
        until("the provider's end", () -> cache.getCurrentData().isEmpty());
        cache.close();
        System.out.println("sofa");
    }

    /** Dubbo's mapping and configuration: compare and set, caches of one node and of a tree. */
    static void tables(CuratorFramework writer, CuratorFramework reader) throws Exception {
        String path = "/dubbo/mapping/com.acme.Curated";
        NodeCache node = new NodeCache(reader, path);
        node.start(true);
        writer.create().creatingParentsIfNeeded().forPath(path, "a".getBytes());
        until("the row", () -> node.getCurrentData() != null && new String(node.getCurrentData().getData()).equals("a"));
        writer.setData().withVersion(0).forPath(path, "a,b".getBytes());
        try {
            reader.setData().withVersion(0).forPath(path, "a,c".getBytes());
            throw new AssertionError("an old version was written");
        } catch (KeeperException.BadVersionException expected) {
            // as it must be
        }
        until("the row's change", () -> new String(node.getCurrentData().getData()).equals("a,b"));
        node.close();
        writer.delete().forPath(path);

        CuratorCache cache = CuratorCache.build(reader, "/dubbo/config");
        cache.start();
        TreeSet<String> expected = new TreeSet<>();
        for (int number = 0; number < 20; number++) {
            String key = "/dubbo/config/dubbo/app" + number + ".configurators";
            writer.create().creatingParentsIfNeeded().forPath(key, ("v" + number).getBytes());
            expected.add(key);
        }
        until("the tree in the cache", () -> expected.stream().allMatch(key -> cache.get(key).isPresent()));
        writer.delete().deletingChildrenIfNeeded().forPath("/dubbo/config");
        until("the tree's end", () -> cache.size() == 0);
        cache.close();
        System.out.println("tables");
    }

    /** Recipes that rest on sequences, transactions, times to live and lasting watches. */
    static void recipes(CuratorFramework one, CuratorFramework two) throws Exception {
        InterProcessMutex mutex = new InterProcessMutex(one, "/curated/lock");
        InterProcessMutex other = new InterProcessMutex(two, "/curated/lock");
        mutex.acquire();
        check(!other.acquire(100, TimeUnit.MILLISECONDS), "a lock holds");
        mutex.release();
        check(other.acquire(20, TimeUnit.SECONDS), "a lock is handed on");
        other.release();
        LeaderLatch first = new LeaderLatch(one, "/curated/leader");
        LeaderLatch second = new LeaderLatch(two, "/curated/leader");
        first.start();
        check(first.await(20, TimeUnit.SECONDS), "a leader");
        second.start();
        first.close();
        check(second.await(20, TimeUnit.SECONDS), "another leader");
        second.close();
        one.transaction().forOperations(
            one.transactionOp().create().forPath("/curated/t", "1".getBytes()),
            one.transactionOp().setData().forPath("/curated/t", "2".getBytes()),
            one.transactionOp().check().withVersion(1).forPath("/curated/t"));
        check(new String(two.getData().forPath("/curated/t")).equals("2"), "a transaction");
        one.create().withTtl(1000).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/curated/ttl");
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        two.watchers().add().withMode(org.apache.zookeeper.AddWatchMode.PERSISTENT_RECURSIVE)
            .usingWatcher((org.apache.zookeeper.Watcher) event -> events.add(event.getType() + " " + event.getPath()))
            .forPath("/curated/deep");
        one.create().creatingParentsIfNeeded().forPath("/curated/deep/er");
        check("NodeCreated /curated/deep".equals(events.poll(20, TimeUnit.SECONDS)), "a watch from above");
        check("NodeCreated /curated/deep/er".equals(events.poll(20, TimeUnit.SECONDS)), "a watch of what is below");
        until("the end of a time to live", () -> {
            try {
                return two.checkExists().forPath("/curated/ttl") == null;
            } catch (Exception problem) {
                throw new IllegalStateException(problem);
            }
        });
        System.out.println("recipes");
    }

    public static void main(String[] arguments) throws Exception {
        try (CuratorFramework provider = connect(arguments[0]); CuratorFramework consumer = connect(arguments[0])) {
            interfaceLevel(provider, consumer);
            applicationLevel(provider, consumer);
            sofa(provider, consumer);
            tables(provider, consumer);
            recipes(provider, consumer);
        }
    }
}
