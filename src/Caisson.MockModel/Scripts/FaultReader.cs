using Caisson.MockModel.Wire;
using YamlDotNet.RepresentationModel;

namespace Caisson.MockModel.Scripts;

/// <summary>Reads one item of <c>fail</c>.</summary>
internal static class FaultReader
{
    private const int MostPieces = 100_000;
    private const double MostSeconds = 86_400;

    private static readonly string[] Kinds = ["status", "cut", "hang", "malformed"];
    private static readonly string[] OfStatus = ["retry_after", "message", "after"];

    public static Fault Read(string file, YamlNode node, string path)
    {
        var map = new ScriptMap(file, path, node, "status", "retry_after", "message", "after", "cut", "hang", "malformed", "times");
        var times = map.Times("times");
        var kinds = Kinds.Where(map.Has).ToArray();
        if (kinds.Length != 1)
            throw map.Fail($"expected one of {string.Join(", ", Kinds)}; found {(kinds.Length == 0 ? "none" : string.Join(" and ", kinds))}");
        if (kinds[0] != "status" && OfStatus.FirstOrDefault(map.Has) is { } extra)
            throw map.Fail(extra, "goes with status only");
        switch (kinds[0])
        {
            case "status":
                var status = (int)map.Whole("status", 400, 599)!;
                var refusal = new Refusal(status, map.Text("message") ?? "scripted failure", null, map.Seconds("retry_after", MostSeconds));
                return new Fault.Status(times, refusal, (int?)map.Whole("after", 0, MostPieces));
            case "cut":
                return new Fault.Cut(times, map.TrueOrWhole("cut", MostPieces));
            case "hang":
                return new Fault.Hang(times, map.TrueOrWhole("hang", MostPieces));
            default:
                var body = map.Text("malformed");
                return new Fault.Malformed(times, body == "true" ? null : body);
        }
    }
}
