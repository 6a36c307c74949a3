"""In place of astropy: the cards of a header that our example reads."""


def getheader(path):
    header = {}
    with open(path, "rb") as file:
        while (card := file.read(80).decode("ascii")) and not card.startswith("END "):
            name, _, value = card.partition("=")
            value = value.split("/")[0].strip()
            if value.startswith("'"):
                header[name.strip()] = value.strip("' ")
            elif value and value[0] in "+-.0123456789":
                number = float(value)
                header[name.strip()] = int(number) if number.is_integer() else number
    return header
