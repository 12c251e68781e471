using System.Globalization;

namespace Caisson.Bench.Peers;

/// <summary>Processor time of processes and of all that they started, those included that ended.</summary>
internal static class ProcessTree
{
    // The kernel counts in hundredths of a second for whoever reads /proc.
    private const double TicksPerSecond = 100;

    internal static double CpuSeconds(IEnumerable<int> roots) => roots.Sum(Cpu);

    private static double Cpu(int pid)
    {
        try
        {
            var text = File.ReadAllText($"/proc/{pid}/stat");
            var fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
            var own = fields[11..15].Sum(field => long.Parse(field, CultureInfo.InvariantCulture)) / TicksPerSecond;
            var children = Directory.GetDirectories($"/proc/{pid}/task")
                .SelectMany(thread => File.ReadAllText(Path.Combine(thread, "children")).Split(' ', StringSplitOptions.RemoveEmptyEntries));
            return own + children.Sum(child => Cpu(int.Parse(child, CultureInfo.InvariantCulture)));
        }
        catch (IOException)
        {
            // It ended while it was looked at; its parent has its time.
            return 0;
        }
    }
}
