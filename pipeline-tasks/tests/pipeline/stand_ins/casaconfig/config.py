logfile = None
