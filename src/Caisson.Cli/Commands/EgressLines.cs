using System.Globalization;
using Caisson.Cli.Output;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary>What a run's boxes reached, or were kept from: a few lines below its steps.</summary>
internal static class EgressLines
{
    internal static async Task WriteAsync(CommandContext context, string run)
    {
        foreach (var item in (await context.Client.ListEgressAsync(run, context.Interrupted)).Items)
            context.Terminal.WriteLine(Of(item));
    }

    internal static string Of(EgressView item)
    {
        var what = item.Code == "moved"
            ? string.Create(CultureInfo.InvariantCulture, $"{Format.Bytes(item.Sent)} out, {Format.Bytes(item.Received)} in")
            : $"× {item.Count}{(item.Detail is null ? "" : "  " + PlainText.Line(item.Detail, 160))}";
        return $"{Format.Time(item.LastAt)} egress {PlainText.Line(item.Code),-18} {PlainText.Line(item.Subject, 80)}  {what}";
    }
}
