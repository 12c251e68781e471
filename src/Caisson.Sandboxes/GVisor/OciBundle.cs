using System.Text.Json;
using Caisson.Sandboxes.Boxes;
using Caisson.Sandboxes.Images;

namespace Caisson.Sandboxes.GVisor;

/// <summary>The OCI description of a box. Pure.</summary>
internal static class OciBundle
{
    private const long LargestTemporary = 256L << 20;

    /// <param name="root">See <see cref="BoxImage"/>.</param>
    public static byte[] Write(string root, BoxFolder folder, long memoryBytes)
    {
        using var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes))
        {
            json.WriteStartObject();
            json.WriteString("ociVersion", "1.0.2");
            json.WriteString("hostname", "box");

            json.WriteStartObject("root");
            json.WriteString("path", root);
            json.WriteBoolean("readonly", true);
            json.WriteEndObject();

            json.WriteStartObject("process");
            json.WriteBoolean("terminal", false);
            json.WriteString("cwd", "/");
            json.WriteBoolean("noNewPrivileges", true);
            // uid 0 only for the first instructions of the guest agent, see become_agent in guest/init.c.
            json.WriteStartObject("user");
            json.WriteNumber("uid", 0);
            json.WriteNumber("gid", 0);
            json.WriteEndObject();
            Strings(json, "args", BoxImage.GuestInside, "init");
            // Its terminals send no signals, see guest/exec.c.
            Strings(json, "env", "PATH=/usr/bin", "CAISSON_TERMINAL_SIGNALS=1");
            json.WriteStartObject("capabilities");
            foreach (var set in new[] { "bounding", "effective", "permitted" })
                Strings(json, set, "CAP_SETUID", "CAP_SETGID", "CAP_KILL");
            json.WriteEndObject();
            json.WriteStartArray("rlimits");
            json.WriteStartObject();
            json.WriteString("type", "RLIMIT_NOFILE");
            json.WriteNumber("soft", 4096);
            json.WriteNumber("hard", 65536);
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();

            // Kept in the box's memory, so no more of it than the box may have.
            var temporary = Math.Min(LargestTemporary, memoryBytes / 2);
            json.WriteStartArray("mounts");
            Mount(json, "/proc", "proc", "proc", "nosuid", "nodev", "noexec");
            Mount(json, "/dev", "tmpfs", "tmpfs", "nosuid");
            Mount(json, "/dev/shm", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=1777", $"size={temporary}");
            Mount(json, "/sys", "sysfs", "sysfs", "ro", "nosuid", "nodev", "noexec");
            Mount(json, "/tmp", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=1777", $"size={temporary}");
            Mount(json, "/run/caisson", "bind", folder.Sockets, "bind", "ro", "nosuid", "nodev", "noexec");
            Mount(json, BoxImage.FilesInside, "bind", folder.Files, "bind", "ro", "nosuid", "nodev", "noexec");
            Mount(json, "/workspace", "bind", folder.Workspace, "bind", "rw", "nosuid", "nodev");
            json.WriteEndArray();

            json.WriteStartObject("linux");
            json.WriteStartArray("namespaces");
            foreach (var type in new[] { "pid", "network", "ipc", "uts", "mount" })
            {
                json.WriteStartObject();
                json.WriteString("type", type);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndObject();
        }

        return bytes.ToArray();
    }

    private static void Mount(Utf8JsonWriter json, string destination, string type, string source, params ReadOnlySpan<string> options)
    {
        json.WriteStartObject();
        json.WriteString("destination", destination);
        json.WriteString("type", type);
        json.WriteString("source", source);
        Strings(json, "options", options);
        json.WriteEndObject();
    }

    private static void Strings(Utf8JsonWriter json, string name, params ReadOnlySpan<string> values)
    {
        json.WriteStartArray(name);
        foreach (var value in values)
            json.WriteStringValue(value);
        json.WriteEndArray();
    }
}
