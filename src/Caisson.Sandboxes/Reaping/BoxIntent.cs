using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Reaping;

/// <summary>
/// Who makes a box, written before anything of it stands: so that whatever is found later has an owner to ask for.
/// </summary>
/// <param name="ServerStart">Start time of that process in clock ticks since boot: a number alone is given again.</param>
internal sealed record BoxIntent(string Box, string Kind, string Run, long Epoch, int ServerId, long ServerStart, IReadOnlyList<string> Cgroups, DateTimeOffset Made)
{
    public static BoxIntent Of(string box, string kind, SandboxSpec spec, IReadOnlyList<string> cgroups, DateTimeOffset now) => new(
        box, kind, spec.Run.ToString(), spec.Epoch, Environment.ProcessId, HostProcesses.StartTime(Environment.ProcessId) ?? 0, cgroups, now);

    /// <summary>Whole: a box of the pool gets another one while the reaper may read.</summary>
    public void Write(string file)
    {
        File.WriteAllBytes($"{file}.new", JsonSerializer.SerializeToUtf8Bytes(this, BoxIntentJson.Default.BoxIntent));
        File.Move($"{file}.new", file, overwrite: true);
    }

    public static BoxIntent? TryRead(string file)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(file), BoxIntentJson.Default.BoxIntent);
        }
        catch (Exception e) when (e is IOException or JsonException)
        {
            // A crash before or in the middle of the write: nothing else of the box can stand then.
            return null;
        }
    }

    /// <summary>Whether another living process made it.</summary>
    public bool IsOthers => ServerId != Environment.ProcessId && HostProcesses.StartTime(ServerId) == ServerStart;
}

[JsonSerializable(typeof(BoxIntent))]
internal sealed partial class BoxIntentJson : JsonSerializerContext;

/// <summary>Reads /proc of the host.</summary>
internal static class HostProcesses
{
    private static readonly string[] Programs = ["runsc", "qemu-system", "virtiofsd", "bwrap"];

    /// <summary>In clock ticks since boot; <c>null</c> where there is no such process.</summary>
    public static long? StartTime(int pid)
    {
        try
        {
            var stat = File.ReadAllText($"/proc/{pid}/stat");
            // The name in brackets may hold blanks and brackets; field 22 is the twentieth after the last bracket.
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return long.Parse(fields[19], CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <summary>
    /// The launchers and the processes that they start one of whose arguments holds the text. Other programs may well name one of our
    /// folders, an editor for instance, and are left alone.
    /// </summary>
    public static IEnumerable<(int Id, string Command)> OfBoxes(string text)
    {
        foreach (var directory in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(directory), NumberStyles.None, CultureInfo.InvariantCulture, out var pid) || pid == Environment.ProcessId)
                continue;
            string command;
            try
            {
                command = File.ReadAllText($"{directory}/cmdline");
            }
            catch (IOException)
            {
                continue;
            }

            var arguments = command.Split('\0');
            var name = Path.GetFileName(arguments[0]);
            var isOurs = Programs.Any(p => name.StartsWith(p, StringComparison.Ordinal)) || (arguments.Length > 1 && arguments[1] == "launch");
            if (isOurs && command.Contains(text, StringComparison.Ordinal))
                yield return (pid, command.Replace('\0', ' '));
        }
    }
}
